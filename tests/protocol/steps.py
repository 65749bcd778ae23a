"""What a step is, and where it is made: at one video, with what it sees of the others."""

from typing import NamedTuple

from tests.protocol.rules import Rules, Scope
from tests.protocol.state import Video

NOTHING, TAKES_REQUEST, FREES_REQUEST, DAY = range(4)
"""What a step does to the other videos of the request id: nothing; it takes the request id for its own; it frees it,
whoever it stands for; a day passes for all."""
KEPT = (0, 0, 0)


class Step(NamedTuple):
    """One thing that may happen next. A fault is what nothing of ours does: a kill, a freeze, a lost answer.

    `money` is what the wallet has more of: available, held, charged.
    """

    name: str
    is_fault: bool
    video: Video
    money: tuple[int, int, int] = KEPT
    others: int = NOTHING


class Here(NamedTuple):
    """The place of a step: a video, whether money and slot would reach for a hold, whether its request id is free."""

    rules: Rules
    scope: Scope
    video: Video
    reaches: bool
    is_free: bool

    def step(
        self, name: str, video: Video, money: tuple[int, int, int] = KEPT, *, fault: bool = False, others: int = NOTHING
    ) -> Step:
        """Return the step that changes the video so."""
        return Step(name, fault, video, money, others if self.scope.one_request else NOTHING)

    def fault(self, name: str, video: Video, money: tuple[int, int, int] = KEPT) -> Step:
        """Return the fault that changes the video so."""
        return Step(name, True, video, money)
