"""Follows what was seen of a real video through the model: which of its ways can it have gone?"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.protocol.model import RIGHT, Machine
from tests.protocol.rules import Scope
from tests.protocol.state import HOLDS, JOBS, OUTCOMES, SETTLEMENTS, STATES, Video

REAL = Scope("real", faults=1, counts_faults=False, tries=3, deletes=True, excuses=True)
FILES = ("", "STAGING", "READY", "DELETED")
CLAIMS = ("", "CLAIMED", "ANSWERED")
JOB_STATES = {name: "LEASED" if name == "OVER" else name for name in JOBS}


class Seen(NamedTuple):
    """What the tables show of one video. A lease that has run out shows in no table until the job is queued anew."""

    state: str = ""
    outcome: str = ""
    settlement: str = ""
    published: bool = False
    deleted: bool = False
    claim: str = ""
    cleanup: str = ""
    generate: str = ""
    settle: str = ""
    start_deadline: str = ""
    attempt: int = 0
    excused: int = 0
    files: tuple[str, ...] = ()
    hold: str = ""
    barred: bool = False
    charged: bool = False


HIDDEN, SHOWN = 2, 3
"""What faults weigh in the choice among ways that show the same: rather a lease that ran out than a model that failed.
"""
BILLING = ("hold", "barred", "charged")


def nothing_seen() -> Seen:
    """What the tables show of a video that was never ordered."""
    return Seen()


def seen_of(video: Video, *, counts_request: bool) -> Seen:
    """Return what the tables show of a video of the model. Without a request id there is no row of it."""
    jobs = (video.cleanup, video.generate, video.settle, video.start_deadline)
    return Seen(
        STATES[video.state],
        OUTCOMES[video.outcome],
        SETTLEMENTS[video.settlement],
        bool(video.output),
        bool(video.deleted),
        CLAIMS[video.claim] if counts_request else "",
        *(JOB_STATES[JOBS[job.state]] for job in jobs),
        video.generate.attempt,
        video.generate.excused,
        tuple(sorted(FILES[file.row] for file in video.files if file.row)),
        HOLDS[video.hold],
        bool(video.barred),
        bool(video.charged),
    )


Way = tuple[str, "Way"] | None
"""The steps so far, the last one first."""


class Follower:
    """The model, as far as real videos have led through it; what one has worked out the next one uses."""

    def __init__(self) -> None:
        self._machine = Machine(RIGHT, REAL)
        self._seen: dict[tuple[int, bool], Seen] = {}
        self._still: dict[tuple[int, bool], dict[int, int]] = {}
        self.visible: set[str] = set()
        """The steps met so far, on all ways, that change what is seen."""

    def follow(self, made: Sequence[Seen], held: Sequence[Seen], *, counts_request: bool) -> list[str] | str:
        """Return the steps that lead through what generation (`made`) and billing (`held`) showed one after the other,
        in some order of the two, with as little weight of faults as can be. Or, in words, what no step explains."""
        first = self._rest(self._machine.number(Video()), counts_request)
        at: dict[tuple[int, int], dict[int, tuple[int, Way]]] = {
            (0, 0): {number: (faults, None) for number, faults in first.items()}
        }
        for left in range(len(made)):
            for right in range(len(held)):
                wanted = made[left]._replace(**{name: getattr(held[right], name) for name in BILLING})
                for before in ((left - 1, right), (left, right - 1)):
                    for number, reached in self._step(at.get(before, {}), wanted, counts_request):
                        here = at.setdefault((left, right), {})
                        if number not in here or reached[0] < here[number][0]:
                            here[number] = reached
        end = at.get((len(made) - 1, len(held) - 1))
        if end:
            return _names(min(end.values(), key=lambda reached: reached[0])[1])
        furthest = max(at, key=sum)
        return f"no step of the model leads on from {made[furthest[0]]} with {held[furthest[1]]}"

    def _step(
        self, numbers: dict[int, tuple[int, Way]], wanted: Seen, counts_request: bool
    ) -> Iterator[tuple[int, tuple[int, Way]]]:
        """Take every one step that shows this; yields where it may lead, with what weight and by which way."""
        for number, (faults, way) in numbers.items():
            for name, is_fault, after in self._machine.of_one(number):
                if self._show(after, counts_request) == wanted:
                    for rest, more in self._rest(after, counts_request).items():
                        yield rest, (faults + SHOWN * is_fault + more, (name, way))

    def _show(self, number: int, counts_request: bool) -> Seen:
        key = (number, counts_request)
        if key not in self._seen:
            self._seen[key] = seen_of(self._machine.videos[number], counts_request=counts_request)
        return self._seen[key]

    def _rest(self, number: int, counts_request: bool) -> dict[int, int]:
        """Return where steps that no table shows may lead, each with the least weight of faults on the way."""
        key = (number, counts_request)
        if key not in self._still:
            shown, met, todo = self._show(*key), {number: 0}, deque([number])
            while todo:
                here = todo.popleft()
                for name, is_fault, after in self._machine.of_one(here):
                    faults = met[here] + HIDDEN * is_fault
                    if self._show(after, counts_request) != shown:
                        self.visible.add(name)
                    elif faults < met.get(after, faults + 1):
                        met[after] = faults
                        (todo.append if is_fault else todo.appendleft)(after)
            self._still[key] = met
        return self._still[key]


def _names(way: Way) -> list[str]:
    found = []
    while way is not None:
        name, way = way
        found.append(name)
    return found[::-1]
