"""Who is calling: who may call what, the caller token (EdDSA JWT), and the call that is being served."""

import asyncio
import contextlib
import contextvars
import dataclasses
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from services.runtime import errors
from services.runtime.clock import Clock, SystemClock

ISSUER = "auth"
HEADER = "x-filmgate-caller"
REQUEST_ID = "x-request-id"
EDGE = "edge"
SUITE = frozenset({"edge", "auth", "billing", "generation", "media", "worker", "privacy", "operator"})
_MAX_TOKEN_LENGTH = 8192
_REMEMBERED = 10_000
_KEY_FETCH_SECONDS = 10.0
_KEY_OLD_SECONDS = 300.0
_KEY_WAIT_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Access:
    """Who may call a method. Made by PUBLIC, CALLER, SERVICE and STAFF."""

    kind: str
    scope: str = ""
    peers: frozenset[str] = frozenset()


PUBLIC = Access("PUBLIC")
"""Anyone whom the edge lets through: any peer with a certificate, no caller token."""


def CALLER(scope: str, *forwarders: str) -> Access:
    """A customer: a valid token bears `scope`, and the peer is the token's own presenter.

    A token that the edge presents comes through the edge, or through one of the named `forwarders`: media, which parses
    strangers' bytes, may use what a download brings it for nothing else (S10).
    """
    return Access("CALLER", scope, frozenset(forwarders))


def SERVICE(*peers: str) -> Access:
    """One of the named peers of the suite, known by its certificate. The edge only where it is named."""
    return Access("SERVICE", peers=frozenset(peers))


def STAFF(role: str) -> Access:
    """Staff in a role; until staff sign in, the certificate that bears the role's name."""
    return Access("STAFF", peers=frozenset({role}))


@dataclasses.dataclass(frozen=True)
class Caller:
    """The customer that a verified token names. `key` or `session` says which credential was shown."""

    organization: str
    project: str
    account: str
    key: str = ""
    session: str = ""
    scopes: frozenset[str] = frozenset()
    presenter: str = ""
    request_id: str = ""


@dataclasses.dataclass
class Call:
    """The call being served, as the interceptors found it."""

    method: str = ""
    request_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    peer: str = ""
    token: str = ""
    caller: Caller | None = None
    deadline: float | None = None
    """End of the time that is left, on the monotonic clock; None for a stream without one."""
    reason: str = ""
    sampled: bool = False
    """Whether the spans of its trace are recorded."""


_call: contextvars.ContextVar[Call | None] = contextvars.ContextVar("call", default=None)


def enter(call: Call | None) -> contextvars.Token[Call | None]:
    """Make `call` the current one, for the interceptors and for tests; give the answer to `leave`."""
    return _call.set(call)


def leave(token: contextvars.Token[Call | None]) -> None:
    """Restore what was current before `enter`."""
    _call.reset(token)


def call() -> Call | None:
    """Return the call being served, None outside of one (a job, a start-up)."""
    return _call.get()


def current() -> Caller:
    """Return the verified customer of a CALLER method. Raises LookupError anywhere else, which is a defect."""
    serving = _call.get()
    if serving is None or serving.caller is None:
        raise LookupError("there is no caller: the method's access is not CALLER")
    return serving.caller


def peer() -> str:
    """Return the name of the calling process: the first DNS name of its certificate; empty outside of a call."""
    return (_call.get() or Call()).peer


def token() -> str:
    """Return the raw caller token, to forward it; empty where there is none."""
    return (_call.get() or Call()).token


def request_id() -> str:
    """Return the id of the request being served; empty outside of a call."""
    return (_call.get() or Call()).request_id


def traceparent() -> str:
    """Return the W3C traceparent of the call being served, to carry its trace on; empty outside of a call."""
    call = _call.get()
    return f"00-{call.trace_id}-{call.span_id}-0{int(call.sampled)}" if call and call.trace_id else ""


def seconds_left() -> float | None:
    """Return how long the caller will still wait, in seconds; None when nobody set a limit."""
    deadline = (_call.get() or Call()).deadline
    return None if deadline is None else deadline - time.monotonic()


def check_peer(access: Access, peer_name: str, caller: Caller | None) -> None:
    """Raise PEER_NOT_ALLOWED or SCOPE_MISSING unless the access lets them in. Anything unknown is out."""
    allowed = access.kind == "PUBLIC" or peer_name in access.peers
    if access.kind == "CALLER":
        forwarded = caller is not None and caller.presenter == EDGE and peer_name in access.peers
        allowed = caller is not None and (forwarded or peer_name == caller.presenter)
    if not peer_name or not allowed:
        raise errors.PEER_NOT_ALLOWED()
    if caller is not None and access.kind == "CALLER" and access.scope not in caller.scopes:
        raise errors.SCOPE_MISSING(scope=access.scope)


def mint(
    private_key: Ed25519PrivateKey,
    kid: str,
    *,
    audience: str,
    account: str,
    organization: str,
    project: str,
    key: str = "",
    session: str = "",
    scopes: Iterable[str] = (),
    presenter: str = EDGE,
    request_id: str = "",
    lifetime_seconds: float = 30.0,
    clock: Clock | None = None,
) -> str:
    """Make a caller token for one audience (the name of a service). Only auth holds a private key."""
    now = (clock or SystemClock()).now().timestamp()
    claims: dict[str, Any] = {
        "iss": ISSUER, "aud": audience, "sub": account, "org": organization, "prj": project,
        "scp": sorted(scopes), "prs": presenter, "rid": request_id, "iat": int(now), "exp": int(now + lifetime_seconds),
    }  # fmt: skip
    claims |= {name: value for name, value in (("key", key), ("ses", session)) if value}
    return jwt.encode(claims, private_key, algorithm="EdDSA", headers={"kid": kid})


_CHECKS: Any = {
    "require": ["iss", "aud", "sub", "org", "prj", "scp", "prs", "iat", "exp"],
    "strict_aud": True,
    "verify_exp": False,  # times are checked by the clock that we are given
    "verify_iat": False,
}


class Verifier:
    """Verifies caller tokens for one audience. `fetch_keys` answers the raw 32-byte public keys of auth by kid.

    Keys are fetched by `ready` and on an unknown kid, at most every 10 s, and anew by `ready` when they are 5 minutes
    old, so that a key that auth has withdrawn is believed no longer; verified tokens are remembered until they expire.
    Tokens end by `clock`, the ages of keys are measured by `steady`.
    """

    def __init__(
        self,
        fetch_keys: Callable[[], Awaitable[Mapping[str, bytes]]],
        audience: str,
        clock: Clock | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.audience = audience
        self._fetch = fetch_keys
        self._clock, self._steady = clock or SystemClock(), steady
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._fetched: float | None = None
        self._read = float("-inf")
        self._lock = asyncio.Lock()
        self._verified: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()

    async def ready(self) -> None:
        """Fetch the keys unless there are young ones. Raises while there are none: a health check of every process."""
        if not self._keys:
            await self._refresh_if_old()
        elif self._steady() - self._read >= _KEY_OLD_SECONDS:
            with contextlib.suppress(TimeoutError):  # auth may be away: the keys at hand decide
                async with asyncio.timeout(_KEY_WAIT_SECONDS):
                    await self._refresh_if_old()
        if not self._keys:
            raise errors.PEER_UNAVAILABLE()

    async def verify(self, text: str) -> Caller:
        """Return the caller that a token names. Raises TOKEN_INVALID, TOKEN_EXPIRED, PEER_UNAVAILABLE (no keys)."""
        now = self._clock.now().timestamp()
        mark = hashlib.sha256(text.encode()).digest()
        known = self._verified.get(mark)
        if known is None:
            claims = await self._claims(text)
            known = (claims["exp"], _caller(claims))
            if claims["iat"] > now + 60:
                raise errors.TOKEN_INVALID()
        if known[0] <= now:
            self._verified.pop(mark, None)
            raise errors.TOKEN_EXPIRED()
        self._verified[mark] = known
        self._verified.move_to_end(mark)
        if len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)
        return known[1]

    async def _claims(self, text: str) -> dict[str, Any]:
        if not text or len(text) > _MAX_TOKEN_LENGTH:
            raise errors.TOKEN_INVALID()
        try:
            key = await self._key(str(jwt.get_unverified_header(text).get("kid", "")))
            claims: dict[str, Any] = jwt.decode(
                text, key, algorithms=["EdDSA"], audience=self.audience, issuer=ISSUER, options=_CHECKS
            )
        except (jwt.PyJWTError, ValueError, UnsupportedAlgorithm):
            raise errors.TOKEN_INVALID() from None
        return claims

    async def _key(self, kid: str) -> Ed25519PublicKey:
        if kid not in self._keys:
            await self._refresh_if_old()
            await self.ready()
        if kid not in self._keys:
            raise errors.TOKEN_INVALID()
        return self._keys[kid]

    async def _refresh_if_old(self) -> None:
        """Fetch unless this was tried in the last 10 s: a stranger's invented kids must not become our load on auth."""
        async with self._lock:
            wait = _KEY_FETCH_SECONDS if self._keys else 1.0
            if self._fetched is not None and self._steady() - self._fetched < wait:
                return
            self._fetched = self._steady()
            with contextlib.suppress(Exception):  # whatever failed, the keys at hand decide
                found = await self._fetch()
                if self._keys.keys() - found.keys():
                    self._verified.clear()  # what a withdrawn key has signed is believed no more, whatever its exp
                self._keys = {kid: Ed25519PublicKey.from_public_bytes(raw) for kid, raw in found.items()}
                self._read = self._fetched


def _caller(claims: Mapping[str, Any]) -> Caller:
    scopes = claims["scp"]
    texts = [claims.get(name, "") for name in ("org", "prj", "sub", "key", "ses", "prs", "rid")]
    if not all(isinstance(text, str) for text in [*texts, *(scopes if isinstance(scopes, list) else [None])]):
        raise errors.TOKEN_INVALID()
    if not isinstance(claims["exp"], int) or not isinstance(claims["iat"], int):
        raise errors.TOKEN_INVALID()
    organization, project, account, key, session, presenter, request = texts
    return Caller(organization, project, account, key, session, frozenset(scopes), presenter, request)
