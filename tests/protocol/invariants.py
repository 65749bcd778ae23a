"""What must hold in every state, and what must hold when nothing is left to happen."""

from collections.abc import Iterator

from tests.protocol.rules import Scope
from tests.protocol.state import (
    ADMITTING,
    ANSWERED,
    CAPTURED,
    CHARGED,
    DEAD,
    DONE,
    DROPPED,
    ENDED_STATES,
    GONE,
    HELD,
    LEFT_QUEUED,
    NONE,
    OPEN_STATES,
    PENDING,
    QUEUED,
    READY,
    REFUSED,
    RELEASED,
    STAGING,
    SUCCEEDED,
    TOLD,
    TOO_LATE,
    State,
    Video,
)

OVER_AND_DONE = (0, DONE, DEAD, DROPPED)


def always(scope: Scope, state: State) -> Iterator[str]:
    """Yield what is wrong in a state."""
    yield from _money(scope, state)
    for video in state.videos:
        if video.state:
            yield from _ledger(video)
            yield from _life(video)
            yield from _promises(video)
    if scope.one_request:
        twins = [video for video in state.videos if video.state not in (NONE, ADMITTING, GONE) and not video.day]
        if len(twins) > 1:
            yield "one request id made two videos"


def _money(scope: Scope, state: State) -> Iterator[str]:
    wallet = state.wallet
    if sum(wallet) != scope.money:
        yield "money was made or lost"
    if wallet.available < 0:
        yield "the wallet is below zero"
    if wallet.held != sum(video.hold == HELD for video in state.videos):
        yield "what is held is not the sum of the open holds"
    if wallet.revenue != sum(video.charged for video in state.videos):
        yield "revenue is not the sum of the charges"
    if wallet.held > scope.slots:
        yield "more holds than slots"


def _ledger(video: Video) -> Iterator[str]:
    if video.charged > 1:
        yield "a video was charged twice"
    if video.charged and video.outcome not in CHARGED:
        yield "a charge that no outcome allows"
    if video.hold == HELD and video.barred:
        yield "held and barred at once"
    if video.hold == HELD and video.released:
        yield "a hold after billing answered its end"
    if video.state in OPEN_STATES and video.hold != HELD:
        yield "a video is made without a hold"
    if video.settlement not in (0, PENDING) and (video.settlement != video.hold):
        yield "the settlement shown is not billing's"


def _life(video: Video) -> Iterator[str]:
    if video.ends > 1:
        yield "two transactions ended one video"
    if video.ends != (video.state in ENDED_STATES) or bool(video.ends) != bool(video.settlement):
        yield "ended and not ended"
    if video.outcome in (LEFT_QUEUED, TOO_LATE) and video.attempt:
        yield "what ran ended as if it had not begun"
    if video.state == SUCCEEDED and not video.deleted and video.files[video.output - 1] != (READY, 1):
        yield "SUCCEEDED without a readable film"
    if any(file.row == READY for file in video.files) and video.state != SUCCEEDED:
        yield "a film that no success has published"
    if video.breach:
        yield "a worker wrote without the lease"


def _promises(video: Video) -> Iterator[str]:
    if video.told == TOLD and video.state in (NONE, ADMITTING, GONE):
        yield "the answered video does not exist"
    if video.told == REFUSED and (video.state != GONE or video.claim):
        yield "a refused order left something"
    if video.state == ADMITTING and video.cleanup.state in OVER_AND_DONE:
        yield "an admission that nobody will clean up"
    if video.state in OPEN_STATES and video.generate.state in OVER_AND_DONE:
        waits = video.state == QUEUED and video.deadline and video.start_deadline.state not in OVER_AND_DONE
        if not waits:
            yield "a video that nobody will make"
    if video.settlement == PENDING and video.settle.state in OVER_AND_DONE:
        yield "an ended video that nobody will settle"


def at_the_end(scope: Scope, state: State) -> Iterator[str]:
    """Yield what is wrong in a state after which nothing happens any more."""
    for video in state.videos:
        if video.state not in (NONE, GONE, *ENDED_STATES):
            yield "a video has not ended"
        if video.state in ENDED_STATES:
            if video.settlement != (CAPTURED if video.outcome in CHARGED else RELEASED):
                yield "a video is not settled by its outcome"
            if video.claim != ANSWERED and not video.day:
                yield "an answer that a repeated order does not get"
        if video.hold == HELD:
            yield "a hold is open"
        kept = (video.cleanup, video.settle, video.start_deadline)
        if any(job.state not in OVER_AND_DONE for job in (*kept, *(() if video.alone else (video.generate,)))):
            yield "a job is left"
        if any(file.row == STAGING or (file.object and file.row != READY) for file in video.files):
            yield "an object without a published row"
        if video.state == GONE and (video.claim or video.charged):
            yield "a refused order left something"
