"""The servicer that Envoy asks before every call (envoy.service.auth.v3.Authorization)."""

from typing import Any

from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc

from services.auth import errors
from services.auth.check import answers, bodies, domain
from services.auth.check.directory import Directory
from services.auth.check.domain import Principal, Route
from services.auth.check.feed import Feed
from services.auth.check.limits import Limits
from services.auth.check.minting import Minting
from services.auth.keys.domain import digest, is_key
from services.auth.keys.uses import LastUsedTracker
from services.auth.logins.domain import ACCESS_PREFIX, is_token
from services.runtime import caller, metrics
from services.runtime.caller import SERVICE
from services.runtime.clock import Clock
from services.runtime.errors import TOKEN_INVALID, Failure
from services.runtime.server import ServiceRegistration

ACCESS = {"Check": SERVICE("edge")}
MAX_CREDENTIAL_LENGTH = 200
_OPEN = answers.passed()


class Authorization(external_auth_pb2_grpc.AuthorizationServicer):
    """Decides who calls and whether they may, and gives them the token that the services accept."""

    def __init__(
        self,
        *,
        feed: Feed,
        directory: Directory,
        limits: Limits,
        creates: Limits,
        minting: Minting,
        uses: LastUsedTracker,
        pepper: bytes,
        clock: Clock,
    ) -> None:
        self._feed = feed
        self._directory = directory
        self._limits = limits
        self._creates = creates
        self._minting = minting
        self._pepper = pepper
        self._clock = clock
        self._uses = uses
        bodies.load()

    def registration(self) -> ServiceRegistration:
        """Return how the server takes this service in."""
        service = external_auth_pb2.DESCRIPTOR.services_by_name["Authorization"]
        return ServiceRegistration(service, external_auth_pb2_grpc.add_AuthorizationServicer_to_server, self, ACCESS)

    async def Check(self, request: external_auth_pb2.CheckRequest, _context: Any) -> external_auth_pb2.CheckResponse:
        """Decide one call. A refusal is an answer too: Envoy sends its body to the client as it is."""
        http = request.attributes.request.http
        request_id = http.headers.get("x-request-id", "") or caller.request_id()
        principal = None
        try:
            route = route_of(request.attributes.context_extensions, http.method)
            bodies.check_query(route.method, http.path)
            if route.gate == "OPEN":
                bodies.check(route.method, _body(http))
                return _OPEN
            principal = await self._principal(route, http.headers.get("authorization", ""))
            await self._standing(route, principal)
            bodies.check(route.method, _body(http))
            self._count_create(route, principal)
            return answers.passed(self._minting.token(route, principal, request_id), principal)
        except Failure as failure:
            metrics.count("filmgate_check_refusals_total", reason=failure.kind.reason)
            return answers.refused(failure, request_id, principal)

    async def _principal(self, route: Route, header: str) -> Principal:
        """Return whose credential this is. Unknown, malformed and wrong ones are all one to a stranger."""
        mark = digest(self._pepper, credential_of(header))
        if self._feed.age > route.oldest_seconds:
            raise errors.AUTHORIZER_UNAVAILABLE(retry_after=1)
        found = self._directory.find(mark)
        if found is None:
            if not await self._feed.refresh():
                raise errors.AUTHORIZER_UNAVAILABLE(retry_after=1)
            found = self._directory.find(mark)
        if found is None:
            raise errors.KEY_UNKNOWN()
        principal, end = found
        now = self._clock.now()
        domain.check_credential(principal, end, now.timestamp())
        if principal.kind == "key":
            self._uses.note(principal.id, now)
        return principal

    async def _standing(self, route: Route, principal: Principal) -> None:
        """Apply the rate, freezes, and the policies in force."""
        wait = self._limits.take(principal.account)
        if wait:
            raise errors.RATE_LIMITED(limit=self._limits.per_minute, what="requests", retry_after=wait)
        now = self._clock.now().timestamp()
        domain.check_freezes(route, principal, self._directory.freezes(principal.account), now)
        if route.gate == "CORE":
            await self._agreed(principal, now)

    async def _agreed(self, principal: Principal, now: float) -> None:
        """Apply the policies in force. Raises POLICY_NOT_ACCEPTED, or AUTHORIZER_UNAVAILABLE while they are unknown.

        After the first start of a suite privacy tells auth by a job which policies there are. Until that has come, no
        policy is known, which does not mean that none is in force.
        """
        if self._directory.told and self._missing(principal, now) is None:
            return
        if not await self._feed.refresh() or not self._directory.told:
            raise errors.AUTHORIZER_UNAVAILABLE(retry_after=1)
        missing = self._missing(principal, now)
        if missing is not None:
            raise errors.POLICY_NOT_ACCEPTED(
                policy=missing.policy, version=missing.number, accept_at=f"/v1/policies/{missing.policy}:accept"
            )

    def _count_create(self, route: Route, principal: Principal) -> None:
        """Apply the rate of new videos, to orders that can be read."""
        wait = self._creates.take(principal.account) if route.method == domain.CREATE else 0.0
        if wait:
            raise errors.RATE_LIMITED(limit=self._creates.per_minute, what="videos", retry_after=wait)

    def _missing(self, principal: Principal, now: float) -> domain.Policy | None:
        accepted = self._directory.accepted(principal.account)
        return domain.missing_policy(self._directory.policies, accepted, now)


def route_of(extensions: Any, verb: str) -> Route:
    """Read what the edge says of the route. A gate that is not known asks for everything; no scope is no right."""
    gate = extensions.get("gate", "")
    return Route(
        audience=extensions.get("audience", ""),
        method=extensions.get("method", "").removeprefix("/").replace("/", "."),
        gate=gate if gate in ("OPEN", "ACCOUNT") else "CORE",
        strict=extensions.get("strictness", "") != "LENIENT",
        scope=extensions.get("scope", ""),
        verb=verb,
    )


def credential_of(header: str) -> str:
    """Return the secret of a Bearer header; raises TOKEN_INVALID without one, KEY_UNKNOWN for what can be none."""
    scheme, _, secret = header.strip().partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise TOKEN_INVALID()
    if len(secret) > MAX_CREDENTIAL_LENGTH or not (is_key(secret) or is_token(secret, ACCESS_PREFIX)):
        raise errors.KEY_UNKNOWN()
    return secret


def _body(http: Any) -> bytes:
    raw: bytes = http.raw_body or http.body.encode()
    if http.headers.get("x-envoy-auth-partial-body", "") == "true":
        raise errors.BODY_INVALID(fault="it is over 64 KiB")
    return raw
