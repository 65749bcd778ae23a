"""The auth service for tests: all its services over real gRPC and PostgreSQL, the clocks in the test's hands."""

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
from google.type import date_pb2

from filmgate.auth.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    keys_pb2,
    keys_pb2_grpc,
    logins_pb2,
    logins_pb2_grpc,
    standings_pb2,
)
from filmgate.auth.v1.standings_pb2_grpc import StandingsStub
from filmgate.privacy.v1 import audit_pb2, audit_pb2_grpc
from services.auth.__main__ import App
from services.auth.clients import Privacy
from services.auth.tokens.keyring import Keyring
from services.runtime import profile as profiles
from services.runtime.caller import SERVICE, STAFF
from services.runtime.database import Database
from services.runtime.profile import Profile
from services.runtime.runner import Runner
from services.runtime.sealed import Sealer
from services.runtime.server import ServiceRegistration
from tests.support import rpc
from tests.support.clock import FakeClock
from tests.support.database import Server
from tests.support.profiles import used

PEPPER = b"p" * 32
PATIENCE_SECONDS = 10.0  # a busy machine may be slow; what is tested is what is decided
PHONE = "+8613800138000"
EMAIL = "bob@example.com"
BORN = date_pb2.Date(year=2000, month=1, day=31)
ADDRESS = (("x-filmgate-address", "203.0.113.7"), ("user-agent", "tests/1"))
Send = logins_pb2.SendCodeRequest


class Steady:
    """A steady clock that a test moves, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the present second."""
        return self.now


@dataclasses.dataclass(frozen=True)
class Person:
    """Somebody who has registered."""

    account: str
    organization: str
    project: str
    session: str
    access: str
    refresh: str
    clock: FakeClock

    def metadata(self, **more: Any) -> tuple[tuple[str, str], ...]:
        """Metadata of a call by their session, as the edge would make it."""
        claims = {"account": self.account, "organization": self.organization, "project": self.project}
        return rpc.as_caller("auth", **{**claims, "session": self.session, "clock": self.clock, **more})


@dataclasses.dataclass
class Auth:
    """A running auth; stubs call as the edge unless a peer is named."""

    house: App
    profile: Profile
    database: Database
    runner: Runner
    clock: FakeClock
    steady: Steady
    outbox: Path
    sealer: Sealer
    keyring: Keyring
    served: rpc.Served
    recorded: list[audit_pb2.AuditEvent]

    def stub(self, kind: Callable[[grpc.aio.Channel], Any], peer: str = "edge") -> Any:
        """Make a stub that calls as `peer`."""
        return self.served.stub(kind, peer)

    @property
    def accounts(self) -> Any:
        """Accounts, as the edge."""
        return self.stub(accounts_pb2_grpc.AccountsStub)

    @property
    def logins(self) -> Any:
        """Logins, as the edge."""
        return self.stub(logins_pb2_grpc.LoginsStub)

    @property
    def keys(self) -> Any:
        """Keys, as the edge."""
        return self.stub(keys_pb2_grpc.KeysStub)

    def messages(self) -> list[dict[str, str]]:
        """Return what lies in the outbox, oldest first."""
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self.outbox.glob("*.json"))]

    async def send(
        self, target: str = PHONE, purpose: str = "REGISTER", metadata: Any = ADDRESS
    ) -> logins_pb2.SendCodeResponse:
        """Send a code and work off the deliveries."""
        channel = Send.EMAIL if "@" in target else Send.PHONE
        request = Send(channel=channel, target=target, purpose=Send.Purpose.Value(purpose))
        answer = await self.logins.SendCode(request, metadata=metadata)
        await self.runner.run_due()
        return answer

    async def code(self, target: str = PHONE, purpose: str = "REGISTER") -> tuple[str, str]:
        """Send a code and read it as a person does; answers (flow, code)."""
        flow = (await self.send(target, purpose)).flow_id
        found = [message["code"] for message in self.messages() if message["id"] == flow]
        return flow, found[0]

    async def register(self, target: str = PHONE, **fields: Any) -> Person:
        """Register somebody."""
        flow, code = await self.code(target)
        wanted = {"flow_id": flow, "code": code, "birth_date": BORN, "locale": "en", **fields}
        made = await self.accounts.Register(accounts_pb2.RegisterRequest(**wanted), metadata=ADDRESS)
        return Person(
            made.account.id, made.organization.id, made.project.id, made.tokens.session.id,
            made.tokens.access_token, made.tokens.refresh_token, self.clock,
        )  # fmt: skip

    async def login(self, target: str = PHONE) -> logins_pb2.SessionTokens:
        """Log somebody in; the pause between two codes passes before."""
        self.clock.advance(60)
        flow, code = await self.code(target, "LOGIN")
        return await self.logins.CreateSession(
            logins_pb2.CreateSessionRequest(flow_id=flow, code=code, device_name="phone"), metadata=ADDRESS
        )

    async def key(self, person: Person, **fields: Any) -> keys_pb2.Key:
        """Make a key for somebody."""
        request = keys_pb2.CreateKeyRequest(**{"display_name": "key", **fields})
        return await self.keys.CreateKey(request, metadata=person.metadata())


class AuditServer(audit_pb2_grpc.AuditServicer):
    """A privacy that keeps the events it is told."""

    def __init__(self) -> None:
        self.events: list[audit_pb2.AuditEvent] = []

    async def RecordEvent(self, request: Any, _: Any) -> audit_pb2.RecordEventResponse:
        """Keep the event."""
        self.events.append(request.event)
        return audit_pb2.RecordEventResponse()

    def registration(self) -> ServiceRegistration:
        """Return how a server takes it in."""
        policy = {"RecordEvent": SERVICE("auth"), "ListAuditEvents": STAFF("operator")}
        service = audit_pb2.DESCRIPTOR.services_by_name["Audit"]
        return ServiceRegistration(service, audit_pb2_grpc.add_AuditServicer_to_server, self, policy)


def stop_database(postgres: Server, database: Database) -> None:
    """End all connections to a database and let nobody connect again."""
    name = database.engine.url.database
    postgres.postgres.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608  our own name
    postgres.postgres.sql(ended)


@contextlib.asynccontextmanager
async def house(
    database: Database, folder: Path, clock: FakeClock, profile: Profile | None = None, *, told: bool = True
) -> AsyncIterator[Auth]:
    """Run auth until the end of the block. Nothing works in the background: the test drives jobs and feed.

    `told`: privacy has said what is published, here nothing; a test may publish more.
    """
    steady, sealer, profile = Steady(), Sealer(folder / "keys"), used(profile or profiles.load("default"))
    keyring = Keyring(database, folder / "secrets", clock)
    await keyring.load()
    built = App(
        database=database,
        feed_database=database,
        profile=profile,
        sealer=sealer,
        pepper=PEPPER,
        keyring=keyring,
        clock=clock,
        patience_seconds=PATIENCE_SECONDS,
        steady=steady,
    )
    await built.feed.catch_up(patient=True)
    audit = AuditServer()
    async with (
        rpc.serve("privacy", [audit.registration()], clock=clock) as privacy,
        rpc.serve("auth", built.registrations(), clock=clock) as served,
    ):
        handlers = built.handlers(folder / "outbox", Privacy(privacy.channel("auth")))
        runner = Runner(database, handlers, clock=clock, name="test")
        running = Auth(
            built, profile, database, runner, clock, steady, folder / "outbox", sealer, keyring, served, audit.events
        )  # fmt: skip
        if told:
            await running.stub(StandingsStub, "privacy").SetPoliciesInForce(standings_pb2.SetPoliciesInForceRequest())
        yield running
        await built.feed.drain(1)
