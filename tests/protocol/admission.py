"""Steps 1 to 5 of the life of a CreateVideo: the client, and the admission of their order."""

from collections.abc import Iterator

from tests.protocol import billing
from tests.protocol.rules import Rules
from tests.protocol.state import (
    ADMITTING,
    ANSWERED,
    ANSWERING,
    BEGUN,
    CLAIMED,
    DECIDED,
    DROPPED,
    GONE,
    HELD,
    HOLDING,
    NONE,
    OPEN,
    QUEUED,
    REFUSED,
    REFUSING,
    TOLD,
    Generate,
    Job,
    Video,
)
from tests.protocol.steps import DAY, FREES_REQUEST, NOTHING, TAKES_REQUEST, Here, Step


def order(here: Here) -> Iterator[Step]:
    """The client orders, or repeats their order; Tx 1 claims the request id for a new video."""
    video = here.video
    if video.state == NONE and here.is_free:
        cleanup = Job(OPEN if here.rules.cleanup_in_tx_1 else 0)
        begun = video._replace(state=ADMITTING, claim=CLAIMED, admission=BEGUN, cleanup=cleanup)
        yield here.step("Tx 1 Admission.begin", begun, others=TAKES_REQUEST)
    elif video.claim == ANSWERED and video.told != TOLD:
        yield here.step("Admission.begin answers again", video._replace(told=TOLD))


def admit(here: Here) -> Iterator[Step]:
    """One step of the admission, wherever it stands; its process may be killed before."""
    video = here.video
    if not video.admission:
        return
    yield from PLACES[video.admission](here)
    yield here.fault("kill: admission", video._replace(admission=0))


def _begun(here: Here) -> Iterator[Step]:
    video, rules = here.video, here.rules
    yield here.step("Admission.moderate refuses", video._replace(admission=REFUSING))
    if not rules.cleanup_in_tx_1 and not video.cleanup.state:
        yield here.step("late: enqueue admit_cleanup", video._replace(cleanup=Job(OPEN)))
    if not rules.authorize_under_lock:
        if here.reaches:
            yield here.step("late: Authorize decides", video._replace(admission=DECIDED))
        return
    held, money = billing.hold(here, video)
    answered = held._replace(admission=HOLDING if held.hold == HELD else REFUSING)
    yield here.step("Authorize Ledger.hold" if held.hold == HELD else "Authorize refused", answered, money)
    unknown = held._replace(admission=0 if rules.unanswered_is_unknown else REFUSING)
    yield here.fault("lost answer: Authorize", unknown, money)
    if not video.late:
        yield here.fault("a copy of Authorize stays on its way", video._replace(late=1))


def _decided(here: Here) -> Iterator[Step]:
    held, money = billing.hold(here, here.video, decided=True)
    yield here.step("late: Authorize holds", held._replace(admission=HOLDING if held.hold == HELD else REFUSING), money)


def arrive(here: Here) -> Iterator[Step]:
    """A copy of Authorize arrives late; nobody waits for its answer."""
    if here.video.late:
        yield here.step("a late copy of Authorize arrives", *billing.hold(here, here.video._replace(late=0)))


def _holding(here: Here) -> Iterator[Step]:
    video, rules = here.video, here.rules
    if not rules.answer_after_tx_2 and not video.told:
        yield here.step("early: the client is answered", video._replace(told=TOLD))
    if video.state != ADMITTING and rules.tx_2_needs_admitting:
        yield here.step("Tx 2 comes too late", video._replace(admission=0))
        return
    yield here.step("Tx 2 Admission.accept", accepted(rules, video)._replace(admission=ANSWERING))


def accepted(rules: Rules, video: Video) -> Video:
    """Tx 2: ADMITTING becomes QUEUED, with its jobs and the stored answer."""
    answered = ANSWERED if video.claim or not rules.claim_is_own else 0
    cleanup = video.cleanup
    return video._replace(
        state=QUEUED,
        claim=answered if rules.answer_in_tx_2 else video.claim,
        cleanup=dropped(cleanup) if rules.cleanup_cancelled_in_tx_2 else cleanup,
        generate=Generate(OPEN) if rules.generate_in_tx_2 else Generate(),
        start_deadline=Job(OPEN),
    )


def dropped(job: Job) -> Job:
    """`jobs.cancel`: it never will run, unless it runs already."""
    return job._replace(state=DROPPED) if job.state == OPEN else job


def _answering(here: Here) -> Iterator[Step]:
    video, rules = here.video, here.rules
    answered = video._replace(admission=0, told=TOLD)
    if not rules.answer_in_tx_2 and video.claim:
        answered = answered._replace(claim=ANSWERED)
    if not rules.generate_in_tx_2 and not video.generate.state:
        answered = answered._replace(generate=Generate(OPEN))
    yield here.step("the client is answered", answered)


def _refusing(here: Here) -> Iterator[Step]:
    """Admission.refuse: delete what Tx 1 wrote, unless the clean-up was quicker."""
    video, rules = here.video, here.rules
    answered = video._replace(admission=0, told=REFUSED)
    if video.state != ADMITTING:
        yield here.step("Admission.refuse comes too late", answered)
        return
    if rules.refusal_drops_row:
        answered = answered._replace(state=GONE, cleanup=dropped(video.cleanup))
    if rules.refusal_frees_request:
        yield forgets(here, "Admission.refuse", answered)
    else:
        yield here.step("Admission.refuse", answered)


def forgets(here: Here, name: str, video: Video) -> Step:
    """`idempotency.forget` in a transaction that does more."""
    others = NOTHING if here.rules.claim_is_own else FREES_REQUEST
    return here.step(name, video._replace(claim=0), others=others)


def time_passes(here: Here) -> Iterator[Step]:
    """The start deadline passes; a day passes; the sweep of rows deletes old claims."""
    video = here.video
    if here.scope.deadlines and not video.deadline and video.state in (ADMITTING, QUEUED):
        yield here.step("the start deadline passes", video._replace(deadline=1))
    if here.scope.days and video.state != NONE and not video.day:
        yield here.step("a day passes", video._replace(day=1), others=DAY)
    if video.day and video.claim:
        yield here.step("idempotency.sweep", video._replace(claim=0))


def queued() -> Video:
    """A video as it is when its admission is over: where an exploration of the making begins."""
    return Video(
        state=QUEUED,
        claim=ANSWERED,
        told=TOLD,
        cleanup=Job(DROPPED),
        generate=Generate(OPEN),
        start_deadline=Job(OPEN),
        hold=HELD,
    )


PLACES = {BEGUN: _begun, HOLDING: _holding, REFUSING: _refusing, ANSWERING: _answering, DECIDED: _decided}
