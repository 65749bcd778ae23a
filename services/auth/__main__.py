"""The auth service: `python -m services.auth serve` or `migrate`."""

import asyncio
import os
import sys

from services.auth import clients
from services.auth.config import AuthSettings
from services.auth.rooms import House
from services.auth.tokens import grants
from services.auth.tokens.keyring import Keyring, secret_file
from services.runtime import channels, profile, server, telemetry
from services.runtime.caller import Verifier
from services.runtime.clock import SystemClock
from services.runtime.config import from_env
from services.runtime.database import Database, migrate
from services.runtime.runner import Runner
from services.runtime.sealed import Sealer

PEPPER_BYTES = 32


async def serve(settings: AuthSettings) -> None:
    """Load keys and the directory, then serve until told to end."""
    clock, database = SystemClock(), Database(settings.database_url)
    feed_database = Database(settings.database_url, pool_size=2)  # its own: no rush of calls may delay the feed
    await database.require_revision("auth")
    if settings.service_accounts is not None:
        await grants.apply(database, grants.read(settings.service_accounts), clock)
    keyring = Keyring(database, settings.secrets, clock)
    await keyring.load()
    house = House(
        database=database,
        feed_database=feed_database,
        profile=profile.load(settings.profile),
        sealer=Sealer(settings.keys),
        pepper=secret_file(settings.secrets, "pepper", os.urandom(PEPPER_BYTES)),
        keyring=keyring,
        clock=clock,
        feed_seconds=settings.feed_seconds,
    )
    privacy = channels.connect("privacy", settings)
    runner = Runner(
        database, house.handlers(settings.outbox, clients.Privacy(privacy)), clock=clock, name="auth",
        lease_seconds=settings.lease_seconds, beat_seconds=settings.beat_seconds,
    )  # fmt: skip
    await server.serve(
        settings,
        house.rooms(),
        verifier=Verifier(keyring.public_keys, "auth", clock),
        parts=[house.feed, runner, house.uses, house.sweep, keyring],
        checks={"directory": house.feed.ready},
        on_stop=[privacy.close, feed_database.close, database.close],
    )


def main(arguments: list[str]) -> int:
    """Run the command that is named; answers the exit status, 2 for an unknown one."""
    if arguments not in (["serve"], ["migrate"]):
        sys.stderr.write("use: python -m services.auth serve | migrate\n")
        return 2
    settings = from_env(AuthSettings)
    telemetry.configure("auth", settings.log_level)
    if arguments == ["migrate"]:
        asyncio.run(migrate(settings.owner_database_url, "auth"))
    else:
        asyncio.run(serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
