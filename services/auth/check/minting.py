"""Caller tokens for the edge, each used for 10 s for the same credential, audience and scope."""

import time
from collections import OrderedDict
from collections.abc import Callable

from services.auth.check.domain import TOKEN_SECONDS, Principal, Route
from services.auth.tokens.keyring import Keyring
from services.runtime import caller
from services.runtime.clock import Clock

REUSED_SECONDS = 10.0
"""A token that is given again is good for 19 s more (tokens count whole seconds), longer than any first use takes."""
MAX_TOKENS = 20_000
_Mark = tuple[str, int, str, str]


class Minting:
    """Mints tokens; those minted lately are given again. Check decides anew at every call, so reuse extends nothing.

    Lately by both clocks: a token ends by the business time, and that may jump within the steady 10 s.
    """

    def __init__(self, keyring: Keyring, clock: Clock, steady: Callable[[], float] = time.monotonic) -> None:
        self._keyring = keyring
        self._clock = clock
        self._steady = steady
        self._minted: OrderedDict[_Mark, tuple[float, float, str]] = OrderedDict()

    def token(self, route: Route, principal: Principal, request_id: str) -> str:
        """Return a token for this route's audience and scope, good for 19 to 30 s. Without the scope, it has none."""
        mark = (principal.id, principal.version, route.audience, route.scope)
        known, now, moment = self._minted.get(mark), self._steady(), self._clock.now().timestamp()
        if known is not None and now - known[0] < REUSED_SECONDS and abs(moment - known[1]) < REUSED_SECONDS:
            return known[2]
        kid, private_key = self._keyring.signer()
        token = caller.mint(
            private_key,
            kid,
            audience=route.audience,
            account=principal.account,
            organization=principal.organization,
            project=principal.project,
            scopes={route.scope}.intersection(principal.scopes),
            request_id=request_id,
            lifetime_seconds=TOKEN_SECONDS,
            clock=self._clock,
            **{principal.kind: principal.id},
        )
        self._minted[mark] = (now, moment, token)
        self._minted.move_to_end(mark)
        if len(self._minted) > MAX_TOKENS:
            self._minted.popitem(last=False)
        return token
