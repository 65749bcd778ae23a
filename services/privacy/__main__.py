"""The privacy service: `python -m services.privacy serve` or `migrate`."""

import asyncio
import sys

from filmgate.privacy.v1 import audit_pb2, audit_pb2_grpc, policies_pb2, policies_pb2_grpc
from services.privacy.audit import api as audit
from services.privacy.clients import Standings, Tokens
from services.privacy.config import PrivacySettings
from services.privacy.policies import api as policies
from services.privacy.policies import first
from services.privacy.policies.jobs import Handlers, Told
from services.privacy.retention.sweep import Sweep
from services.runtime import channels, config, metrics, server, telemetry, tracing
from services.runtime.caller import Verifier
from services.runtime.clock import Clock, SystemClock, follow
from services.runtime.config import from_env
from services.runtime.database import Database, migrate
from services.runtime.runner import Runner
from services.runtime.server import ServiceRegistration


def registrations(settings: PrivacySettings, database: Database, clock: Clock) -> list[ServiceRegistration]:
    """Return the gRPC services of this process."""
    return [
        ServiceRegistration(
            policies_pb2.DESCRIPTOR.services_by_name["Policies"],
            policies_pb2_grpc.add_PoliciesServicer_to_server,
            policies.Policies(database, clock, settings.acceptance_wait_seconds),
            policies.ACCESS,
        ),
        ServiceRegistration(
            audit_pb2.DESCRIPTOR.services_by_name["Audit"],
            audit_pb2_grpc.add_AuditServicer_to_server,
            audit.Audit(database, clock),
            audit.ACCESS,
        ),
    ]


async def serve(settings: PrivacySettings) -> None:
    """Publish the texts that come as files, then serve until told to end."""
    clock, database = SystemClock(), Database(settings.database_url)
    await database.require_revision("privacy")
    told = Told(database, await first.publish_all(database, settings.policy_texts, clock))
    auth = channels.connect("auth", settings)
    handlers = Handlers(database, Standings(auth)).by_kind()
    runner = Runner(
        database,
        handlers,
        clock=clock,
        name="privacy",
        lease_seconds=settings.lease_seconds,
        lease_renewal_seconds=settings.lease_renewal_seconds,
    )
    await server.serve(
        settings,
        registrations(settings, database, clock),
        verifier=Verifier(Tokens(auth).caller_keys, "privacy", clock),
        parts=[runner, Sweep(database, clock)],
        checks={"database": database.ping, "policies_told": told.ready},
        on_stop=[auth.close, database.close],
    )


def main(arguments: list[str]) -> int:
    """Run the command that is named. Ends with 2 for an unknown one."""
    if arguments not in (["serve"], ["migrate"]):
        sys.stderr.write("use: python -m services.privacy serve|migrate\n")
        return 2
    settings = from_env(PrivacySettings)
    follow(settings.clock_file, settings.bind)
    telemetry.configure("privacy", settings.log_level)
    metrics.configure("privacy", settings.otlp_endpoint)
    tracing.configure("privacy", settings.otlp_endpoint)
    if arguments == ["migrate"]:
        asyncio.run(migrate(settings.owner_database_url, "privacy"))
    else:
        asyncio.run(serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(config.told(main, sys.argv[1:]))
