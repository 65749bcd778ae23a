"""The protocol of section 5 of the design as a state machine: where it begins, and what may happen next.

Every step is one transaction, one call of billing or one write to the object store: what lies between them is in one
process's memory and is seen by nobody. Steps of all processes follow each other in any order, so a process that is
slow, frozen or whose message is slow is one whose next step comes late; a lease may run out under it. A call and its
answer are one step: a call that arrives after its sender gave up is the step of a sender who was slow and is killed
then.
"""

from collections.abc import Iterator

from tests.protocol import admission, effects, making
from tests.protocol.rules import Rules, Scope
from tests.protocol.state import ADMITTING, HELD, LEASED, OPEN, OVER, QUEUED, State, Video, Wallet
from tests.protocol.steps import DAY, NOTHING, Here, Step

RIGHT = Rules()
Packed = tuple[tuple[int, ...], tuple[int, ...], int]
"""A state with its videos as numbers: cheap to keep, to compare and to hash."""


def steps(here: Here) -> Iterator[Step]:
    """Yield everything that may happen next to one video."""
    if here.scope.admits:
        yield from admission.order(here)
        yield from admission.admit(here)
        yield from admission.arrive(here)
    if not here.video.state:
        return
    yield from admission.time_passes(here)
    yield from making.lease(here)
    yield from making.make(here)
    yield from making.compete(here)
    yield from making.sweep_files(here)
    for kind in effects.HANDLERS:
        yield from effects.work(here, kind)
    yield from effects.sweep_holds(here)


def without_past(video: Video) -> Video:
    """Forget that the start deadline has passed where nobody asks for it any more: fewer states, the same life."""
    if (
        video.deadline
        and video.state not in (ADMITTING, QUEUED)
        and video.start_deadline.state not in (OPEN, LEASED, OVER)
    ):
        return video._replace(deadline=0)
    return video


class Machine:
    """The protocol under some rules, within a scope. What may happen to a video is worked out once and remembered."""

    def __init__(self, rules: Rules, scope: Scope) -> None:
        self.rules, self.scope = rules, scope
        self.videos: list[Video] = []
        self._numbers: dict[Video, int] = {}
        self._steps: dict[tuple[int, bool, bool], list[tuple[str, bool, int, tuple[int, int, int], int]]] = {}

    def begin(self) -> Packed:
        """Return the state in which an exploration begins."""
        videos = [Video()] * self.scope.orders
        wallet = Wallet(self.scope.money)
        if self.scope.begins_queued:
            videos[-1] = admission.queued()
            wallet = Wallet(self.scope.money - 1, 1)
        return tuple(sorted(map(self.number, videos))), tuple(wallet), self.scope.faults

    def number(self, video: Video) -> int:
        """Return the number of a video, the same for the same."""
        number = self._numbers.get(video)
        if number is None:
            number = self._numbers[video] = len(self.videos)
            self.videos.append(video)
        return number

    def state(self, packed: Packed) -> State:
        """Return a state for a reader."""
        return State(tuple(self.videos[number] for number in packed[0]), Wallet(*packed[1]), packed[2])

    def successors(self, packed: Packed) -> Iterator[tuple[str, bool, Packed]]:
        """Yield (step, whether it is a fault, state after it) for everything that may happen next."""
        numbers, wallet, faults = packed
        videos = [self.videos[number] for number in numbers]
        reaches = wallet[0] > 0 and sum(video.hold == HELD for video in videos) < self.scope.slots
        taken = self.scope.one_request and any(video.claim and not video.day for video in videos)
        for place, number in enumerate(numbers):
            if place and number == numbers[place - 1]:
                continue  # the same by another name
            for name, is_fault, after, money, others in self._of(number, reaches, not taken):
                if is_fault and not faults:
                    continue
                rest = (*numbers[:place], *numbers[place + 1 :])
                if others != NOTHING:
                    rest = tuple(self._other(number, others) for number in rest)
                changed = tuple(sorted((*rest, after))) if rest else (after,)
                available, held, revenue = wallet
                moved = (available + money[0], held + money[1], revenue + money[2])
                yield name, is_fault, (changed, moved, faults - is_fault if self.scope.counts_faults else faults)

    def of_one(self, number: int) -> Iterator[tuple[str, bool, int]]:
        """Yield (step, whether it is a fault, video after it) for one video, whatever its wallet and the others do."""
        for reaches in (True, False):
            for name, is_fault, after, _, _ in self._of(number, reaches, True):
                yield name, is_fault, after

    def _of(self, number: int, reaches: bool, is_free: bool) -> list[tuple[str, bool, int, tuple[int, int, int], int]]:
        key = (number, reaches, is_free)
        known = self._steps.get(key)
        if known is None:
            here = Here(self.rules, self.scope, self.videos[number], reaches, is_free)
            known = self._steps[key] = [
                (step.name, step.is_fault, self.number(without_past(step.video)), step.money, step.others)
                for step in steps(here)
            ]
        return known

    def _other(self, number: int, others: int) -> int:
        """What happens to the other videos of the request id."""
        video = self.videos[number]
        return self.number(video._replace(day=int(video.state != 0)) if others == DAY else video._replace(claim=0))
