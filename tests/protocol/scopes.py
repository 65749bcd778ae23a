"""How far is explored: what `make test` visits within a minute, and what `make protocol` visits.

A crash, a freeze or a lost answer may happen at each step, as often as `faults` says. The parts are explored with more
of them than the whole.
"""

import dataclasses

from tests.protocol.rules import Scope

SMALL = (
    # One video from the order to the settled film.
    Scope("life", faults=1),
    # An order that is repeated under its request id until it is answered; no worker takes it, its owner cancels.
    Scope("order", faults=2, orders=2, makes=False, deadlines=False),
    # The same with the life of the first video, while the order is repeated.
    Scope("again", faults=0, orders=2, deadlines=False),
    # The request id is used anew after its day.
    Scope("days", faults=0, orders=3, makes=False, deadlines=False, days=True),
    # Two orders for money that reaches for one.
    Scope("money", faults=2, orders=2, one_request=False, makes=False, deadlines=False),
    # Two videos that are made, and money for one; then money for two, and a slot for one.
    Scope("made", faults=0, orders=2, one_request=False, deadlines=False, cancels=False),
    Scope("slots", faults=0, orders=2, one_request=False, money=2, deadlines=False, cancels=False),
    # An admitted video, two workers or more, its owner and its deadline.
    Scope("make", faults=2, admits=False, begins_queued=True),
    # The same, with what puts a job off without blame, and when its owner deletes it.
    Scope("excuses", faults=1, admits=False, begins_queued=True, excuses=True, deletes=True),
    # The last worker that could make it goes for ever.
    Scope("alone", faults=2, admits=False, begins_queued=True, vanishes=True, cancels=False, deadlines=False),
)
LARGE = tuple(dataclasses.replace(scope, faults=scope.faults + (scope.name != "days")) for scope in SMALL)
"""With a fault more, but for the days, which are many states already."""
