"""The shapes of the model: what is known of one video in both databases, in the object store and in the processes.

Everything is a tuple of small integers, so that a state is its own hash. A process has no name: it is the place at
which somebody works on something, so that states that differ in names only are one state.
"""

from typing import NamedTuple

NONE, ADMITTING, QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED, GONE = range(8)
"""`videos.state`; NONE was never ordered, GONE was deleted before it was admitted."""
STATES = ("", "ADMITTING", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "gone")
OPEN_STATES, ENDED_STATES = (QUEUED, RUNNING), (SUCCEEDED, FAILED, CANCELLED)

OUTCOMES = ("", "SUCCEEDED", "CANCELLED_QUEUED", "CANCELLED_RUNNING", "INFRASTRUCTURE_ERROR", "DEADLINE_PASSED")
MADE, LEFT_QUEUED, LEFT_RUNNING, BROKEN, TOO_LATE = range(1, 6)
"""`videos.outcome`."""
CHARGED = (MADE, LEFT_RUNNING)
"""The outcomes that cost the price; the others cost nothing. A test compares it with the price book."""

PENDING, CAPTURED, RELEASED = 1, 2, 3
SETTLEMENTS = ("", "PENDING", "CAPTURED", "RELEASED")
HELD = 1
HOLDS = ("", "HELD", "CAPTURED", "RELEASED")
"""`holds.state`; CAPTURED and RELEASED are the same numbers as in a settlement."""

OPEN, LEASED, OVER, DONE, DEAD, DROPPED = range(1, 7)
"""`jobs.state`. OPEN is WAITING or QUEUED; OVER is RUNNING under a lease that has run out; DROPPED is CANCELLED."""
JOBS = ("", "OPEN", "LEASED", "OVER", "DONE", "DEAD", "CANCELLED")

STAGING, READY, DELETED = 1, 2, 3
"""`files.state`; DELETED has a delete_time."""

CLAIMED, ANSWERED = 1, 2
"""The row of a request id, as far as it stands for this video: without an answer, and with its stored answer."""
TOLD, REFUSED = 1, 2
"""What clients know of their order."""

BEGUN, HOLDING, REFUSING, ANSWERING, DECIDED = 1, 2, 3, 4, 5
"""Where an admission stands: after Tx 1, after Authorize, after a refusal, after Tx 2. DECIDED is a mutation's."""

TAKEN, STARTED, STAGED, UPLOADED, UNPUBLISHED, OUSTED, BREAKING, LEAVING, BURYING, LATE_END, LATE_READY, ENQUEUES = (
    range(1, 13)
)  # fmt: skip
"""Where a run of `Maker.generate` stands. UNPUBLISHED (the video had ended) and OUSTED (the lease was lost)
have an object to remove. LATE_END, LATE_READY and ENQUEUES are mutations'."""

LISTED, WILL_RELEASE, WILL_CAPTURE = 1, 2, 3
"""Where a sweep of holds stands."""


class Job(NamedTuple):
    """A job that is repeated until it is done. `at` is where its lease's owner stands, 0 when that is dead; `stale`
    where those stand who lost the lease and do not know it."""

    state: int = 0
    at: int = 0
    stale: tuple[int, ...] = ()


class Generate(NamedTuple):
    """The job `generate`. `runs` is where the worker of each attempt stands, 0 when there is none (any more)."""

    state: int = 0
    attempt: int = 0
    excused: int = 0
    runs: tuple[int, ...] = ()


class File(NamedTuple):
    """The output of an attempt: its row, and whether its object lies in the store."""

    row: int = 0
    object: int = 0


class Video(NamedTuple):
    """All that there is of one video. The last three are ghosts: the protocol does not know them, invariants do."""

    state: int = NONE
    attempt: int = 0
    outcome: int = 0
    settlement: int = 0
    output: int = 0
    claim: int = 0
    told: int = 0
    deadline: int = 0
    """Whether the start deadline has passed."""
    day: int = 0
    """Whether a day has passed since it was ordered: its request id may be used anew."""
    admission: int = 0
    late: int = 0
    """Whether a copy of Authorize is still on its way."""
    cleanup: Job = Job()
    generate: Generate = Generate()
    settle: Job = Job()
    start_deadline: Job = Job()
    files: tuple[File, ...] = ()
    hold: int = 0
    barred: int = 0
    charged: int = 0
    sweep: int = 0
    deleted: int = 0
    """Whether its owner has deleted it."""
    alone: int = 0
    """Whether no worker is left that could make it."""
    ends: int = 0
    """How many transactions have ended it."""
    released: int = 0
    """Whether billing has answered an end of its hold."""
    breach: int = 0
    """Whether a worker without the lease has written."""


class Wallet(NamedTuple):
    """The customer's wallet, and what they were charged. A video costs 1."""

    available: int
    held: int = 0
    revenue: int = 0


class State(NamedTuple):
    """One moment of the whole; `faults` are left to happen. The order of the videos means nothing."""

    videos: tuple[Video, ...]
    wallet: Wallet
    faults: int


def replaced(values: tuple[int, ...], place: int, value: int) -> tuple[int, ...]:
    """Return a tuple with one value changed."""
    return (*values[:place], value, *values[place + 1 :])


def told(state: State) -> str:
    """Tell a state as a person reads it, one line per video; what is empty is left out."""
    lines = [f"wallet {tuple(state.wallet)}, {state.faults} faults left"]
    for video in state.videos:
        parts = [STATES[video.state] or "not ordered"]
        for name, value in zip(video._fields[1:], video[1:], strict=True):
            if value and any(value if isinstance(value, tuple) else (value,)):
                parts.append(f"{name}={_word(name, value)}")
        lines.append(", ".join(parts))
    return "\n    ".join(lines)


def _word(name: str, value: object) -> str:
    if isinstance(value, Job | Generate):
        return f"{JOBS[value.state]}{tuple(value[1:])}"
    names = {"outcome": OUTCOMES, "settlement": SETTLEMENTS, "hold": HOLDS}.get(name)
    if isinstance(value, int):
        return names[value] if names else str(value)
    return str([tuple(part) for part in value]) if name == "files" else str(value)  # type: ignore[attr-defined]
