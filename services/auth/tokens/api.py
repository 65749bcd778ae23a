"""The servicer of Tokens."""

from typing import Any

from filmgate.auth.v1 import tokens_pb2, tokens_pb2_grpc
from services.auth.tokens import domain, store
from services.auth.tokens.keyring import Keyring, lifetime_end
from services.runtime import caller
from services.runtime.caller import PUBLIC, SERVICE
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import PEER_NOT_ALLOWED
from services.runtime.server import ServiceRegistration

# Exchange is open to every certificate of our authority: the table of service accounts says which of them get a token.
ACCESS = {"ListCallerKeys": SERVICE("billing", "generation", "media", "worker", "privacy", "auth"), "Exchange": PUBLIC}


class Tokens(tokens_pb2_grpc.TokensServicer):
    """Publishes keys and gives tokens to internal services."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock

    def registration(self) -> ServiceRegistration:
        """Return how the server takes this service in."""
        service = tokens_pb2.DESCRIPTOR.services_by_name["Tokens"]
        return ServiceRegistration(service, tokens_pb2_grpc.add_TokensServicer_to_server, self, ACCESS)

    async def ListCallerKeys(
        self, _request: tokens_pb2.ListCallerKeysRequest, _context: Any
    ) -> tokens_pb2.ListCallerKeysResponse:
        """List the public keys, announced ones too."""
        keys = [
            tokens_pb2.CallerKey(kid=key.kid, public_key=key.public_key, start_time=key.start_time)
            for key in self._keyring.published
        ]
        return tokens_pb2.ListCallerKeysResponse(keys=keys)

    async def Exchange(self, request: tokens_pb2.ExchangeRequest, _context: Any) -> tokens_pb2.ExchangeResponse:
        """Return a token for the service account of the connecting certificate."""
        name = caller.peer()
        async with self._database.transaction() as session:
            account = await store.service_account(session, name)
        if account is None:
            raise PEER_NOT_ALLOWED()
        kid, private_key = self._keyring.signer()
        token = caller.mint(
            private_key,
            kid,
            audience=request.audience,
            account=account.id,
            organization=account.organization,
            project=account.project,
            scopes=account.scopes,
            presenter=name,
            request_id=caller.request_id(),
            lifetime_seconds=domain.EXCHANGED_SECONDS,
            clock=self._clock,
        )
        end = lifetime_end(self._clock.now(), domain.EXCHANGED_SECONDS)
        return tokens_pb2.ExchangeResponse(token=token, expire_time=end)
