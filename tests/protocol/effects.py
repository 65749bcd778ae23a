"""Steps 10 and 11: the jobs that are repeated until they are done, and the sweep of holds."""

from collections.abc import Callable, Iterator

from tests.protocol import billing
from tests.protocol.admission import forgets
from tests.protocol.making import ended
from tests.protocol.state import (
    ADMITTING,
    BROKEN,
    DEAD,
    DONE,
    ENDED_STATES,
    FAILED,
    GONE,
    HELD,
    LEASED,
    LISTED,
    NONE,
    OPEN,
    OVER,
    PENDING,
    QUEUED,
    RELEASED,
    RUNNING,
    TOO_LATE,
    WILL_CAPTURE,
    WILL_RELEASE,
    Job,
)
from tests.protocol.steps import Here, Step

WORKS, RELEASES, FINISHES, DROPS_LATE, DROPS = 1, 2, 3, 4, 5
UNKNOWN = -1
"""In place of where it stands then: the answer is lost, so the job is put off."""


def work(here: Here, kind: str) -> Iterator[Step]:
    """All that may happen to one of the three jobs: claim, work, kill, freeze, a lease that runs out."""
    video = here.video
    job: Job = getattr(video, kind)
    if not job.state and not job.stale:
        return
    if job.state == OPEN and _due(here, kind):
        yield from _claim(here, kind, job)
    if job.state == LEASED:
        over = video._replace(**{kind: job._replace(state=OVER)})
        if job.at:
            yield here.fault(f"freeze: the lease of {kind} runs out", over)
            yield here.fault(f"kill: the worker of {kind}", video._replace(**{kind: job._replace(at=0)}))
        else:
            yield here.step(f"the lease of {kind} runs out", over)
    if job.state == OVER:
        stale = tuple(sorted((*job.stale, job.at))) if job.at else job.stale
        lost = kind == "settle" and not here.rules.settle_repeated
        yield here.step(f"jobs.promote {kind}", video._replace(**{kind: Job(DEAD if lost else OPEN, 0, stale)}))
    if job.at:
        yield from _act(here, kind, job, job.at, None)
    for number, place in enumerate(job.stale):
        if place not in job.stale[:number]:
            yield from _act(here, kind, job, place, number)


def _due(here: Here, kind: str) -> bool:
    return kind != "start_deadline" or bool(here.video.deadline)


def _claim(here: Here, kind: str, job: Job) -> Iterator[Step]:
    claimed = here.video._replace(**{kind: job._replace(state=LEASED, at=WORKS)})
    if kind == "cleanup" and here.video.admission:
        yield here.fault("freeze: the clean-up becomes due while the admission goes on", claimed)
    else:
        yield here.step(f"jobs.claim {kind}", claimed)


def _act(here: Here, kind: str, job: Job, place: int, stale: int | None) -> Iterator[Step]:
    """One step of a handler at `place`: of the lease's owner (`stale` None), or of one who lost it."""
    if place == FINISHES or (kind == "settle" and place == RELEASES):
        yield _finish(here, kind, job, stale)
        return
    for step, then in HANDLERS[kind](here, place):
        refused = stale is not None and (then == FINISHES or (kind, then) == ("settle", RELEASES))
        video = step.video._replace(**{kind: _stands(getattr(step.video, kind), 0 if refused else then, stale)})
        yield step._replace(video=video)


def _stands(job: Job, then: int, stale: int | None) -> Job:
    """Write down where a handler stands after its step."""
    if stale is not None:
        rest = (*job.stale[:stale], *job.stale[stale + 1 :])
        return job._replace(stale=tuple(sorted((*rest, then))) if then > 0 else rest)
    if then == UNKNOWN:
        return job._replace(at=0, state=OPEN if job.state == LEASED else job.state)
    return job._replace(at=then)


def _finish(here: Here, kind: str, job: Job, stale: int | None) -> Step:
    """jobs.finish, for `settle` with what billing answered; refused to who has lost the lease."""
    video = here.video
    if stale is not None:
        gone = job._replace(stale=(*job.stale[:stale], *job.stale[stale + 1 :]))
        return here.step(f"jobs.finish {kind} is refused", video._replace(**{kind: gone}))
    if job.state != LEASED:
        return here.step(f"jobs.finish {kind} is refused", video._replace(**{kind: job._replace(at=0)}))
    if kind == "settle" and video.settlement == PENDING:
        video = video._replace(settlement=video.hold)
    name = "VideoJobs.settle store.settled" if kind == "settle" else f"jobs.finish {kind}"
    return here.step(name, video._replace(**{kind: job._replace(state=DONE, at=0)}))


Act = tuple[Step, int]
"""What a handler did, and where it stands then."""


def _called(here: Here, name: str, outcome: int, then: int) -> Iterator[Act]:
    """A call of billing that ends a hold: answered, or done and not answered."""
    after = billing.end(here, here.video, outcome)
    yield here.step(name, *after), then
    yield here.fault(f"lost answer: {name}", *after), UNKNOWN


def settle(here: Here, place: int) -> Iterator[Act]:
    """VideoJobs.settle: Capture with the outcome, then write what billing answered."""
    yield from _called(here, "Capture Ledger.end", here.video.outcome, RELEASES)


def clean_up(here: Here, place: int) -> Iterator[Act]:
    """VideoJobs.clean_up: the row goes first, then Release, which also bars a late Authorize."""
    video, rules = here.video, here.rules
    if place == WORKS and not rules.row_goes_before_release and video.state in (ADMITTING, GONE):
        yield from _called(here, "early: Release Ledger.end", 0, DROPS_LATE)
    elif place == WORKS and not rules.request_freed_with_row and video.state == ADMITTING:
        yield forgets(here, "early: forget the request", video), DROPS
    elif place == RELEASES:
        yield from _called(here, "Release Ledger.end", 0, FINISHES)
    else:
        yield _drop(here, FINISHES if place == DROPS_LATE else RELEASES, forgets_request=place != DROPS)


def _drop(here: Here, then: int, *, forgets_request: bool) -> Act:
    video, rules = here.video, here.rules
    if video.state == ADMITTING or (not rules.cleanup_needs_admitting and video.state not in (NONE, GONE)):
        name, gone = "VideoJobs.clean_up store.drop", video._replace(state=GONE)
        return (forgets(here, name, gone) if forgets_request else here.step(name, gone)), then
    if video.state == GONE:
        return here.step("VideoJobs.clean_up finds no row", video), then
    then = FINISHES if rules.cleanup_spares_admitted else then
    return here.step("VideoJobs.clean_up finds it admitted", video), then


def pass_deadline(here: Here, place: int) -> Iterator[Act]:
    """VideoJobs.pass_deadline: end a video that is still QUEUED."""
    video = here.video
    late = video.state == QUEUED or (not here.rules.deadline_needs_queued and video.settlement == 0)
    if late:
        yield here.step("Tx 3 VideoJobs.pass_deadline", ended(here, FAILED, TOO_LATE)), FINISHES
    else:
        yield here.step("VideoJobs.pass_deadline finds it begun", video), FINISHES


def sweep_holds(here: Here) -> Iterator[Step]:
    """VideoJobs.sweep_holds: list the open holds, look at each video, act; between two of them much may happen."""
    video, rules = here.video, here.rules
    if not rules.holds_never_expire and video.hold == HELD:
        yield here.step("a hold expires", video._replace(hold=RELEASED), (1, -1, 0))
    if not rules.holds_swept:
        return
    if not video.sweep and video.hold == HELD:
        yield here.step("VideoJobs.sweep_holds lists", video._replace(sweep=LISTED))
    elif video.sweep == LISTED:
        yield _looked(here)
    elif video.sweep:
        outcome = video.outcome if video.sweep == WILL_CAPTURE else 0
        name = f"VideoJobs._sweep_hold {'Capture' if outcome else 'Release'}"
        yield here.step(name, *billing.end(here, video._replace(sweep=0), outcome))
        yield here.fault("kill: the sweep of holds", video._replace(sweep=0))


def _looked(here: Here) -> Step:
    video = here.video
    if video.state == GONE:
        return here.step("VideoJobs._sweep_hold finds no row", video._replace(sweep=WILL_RELEASE))
    if video.settlement == PENDING:
        settling = video if video.settle.state else video._replace(settle=Job(OPEN))
        name = "store.ask_settling asks" if not video.settle.state else "store.ask_settling has one"
        return here.step(name, settling._replace(sweep=0))
    if video.state == RUNNING and video.generate.state in (OPEN, OVER) and here.rules.overdue_swept:
        return here.step(
            "Tx 3 VideoJobs._sweep_hold of an overdue video", ended(here, FAILED, BROKEN)._replace(sweep=0)
        )
    if video.state in ENDED_STATES:
        return here.step("VideoJobs._sweep_hold finds it settled", video._replace(sweep=WILL_CAPTURE))
    return here.step("VideoJobs._sweep_hold leaves it", video._replace(sweep=0))


HANDLERS: dict[str, Callable[[Here, int], Iterator[Act]]] = {
    "settle": settle,
    "cleanup": clean_up,
    "start_deadline": pass_deadline,
}
