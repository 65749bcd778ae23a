"""The generation service: `python -m services.generation serve`, `media`, `work` or `migrate`."""

import asyncio
import sys

from filmgate.generation.v1 import files_pb2, files_pb2_grpc, models_pb2, models_pb2_grpc, videos_pb2, videos_pb2_grpc
from services.generation import clients
from services.generation.config import GenerationSettings, MediaSettings
from services.generation.files import api as files
from services.generation.files import scratch
from services.generation.files.objects import open_store
from services.generation.media import confinement
from services.generation.media.app import Media
from services.generation.media.downloads import Downloads
from services.generation.media.generation import Records
from services.generation.media.reference import Reference
from services.generation.media.server import Server
from services.generation.media.uploads import Uploads
from services.generation.models import api as models
from services.generation.moderation import words
from services.generation.videos import api as videos
from services.generation.videos.admission import Admission
from services.generation.videos.message import Writer
from services.generation.videos.watch import Feed
from services.generation.worker.notifications import JobNotifier
from services.runtime import channels, config, metrics, profile, server, telemetry, tracing
from services.runtime.caller import Verifier
from services.runtime.clock import SystemClock, follow
from services.runtime.config import Settings, from_env
from services.runtime.database import Database, migrate
from services.runtime.profile import Profile
from services.runtime.server import ServiceRegistration


def registrations(orders: Admission, feed: Feed, rules: Profile) -> list[ServiceRegistration]:
    """Return the gRPC services of the API process."""
    database, billing, clock = orders.database, orders.billing, orders.clock
    return [
        ServiceRegistration(
            videos_pb2.DESCRIPTOR.services_by_name["Videos"],
            videos_pb2_grpc.add_VideosServicer_to_server,
            videos.Videos(orders, feed),
            videos.ACCESS,
        ),
        ServiceRegistration(
            models_pb2.DESCRIPTOR.services_by_name["Models"],
            models_pb2_grpc.add_ModelsServicer_to_server,
            models.Models(database, billing, clock),
            models.ACCESS,
        ),
        ServiceRegistration(
            files_pb2.DESCRIPTOR.services_by_name["Files"],
            files_pb2_grpc.add_FilesServicer_to_server,
            files.Files(database, clock, rules.retention.input_days, rules.limits.pictures_per_project),
            files.ACCESS,
        ),
    ]


async def serve(settings: GenerationSettings) -> None:
    """Return the RPCs of videos, models and files until told to end."""
    clock, database, rules = SystemClock(), Database(settings.database_url), profile.load(settings.profile)
    await database.require_revision("generation")
    with config.reading("the word lists of moderation"):
        lists = words.load(settings.word_lists, rules.moderation.word_lists)
    auth, billing = channels.connect("auth", settings), channels.connect("billing", settings)
    orders = Admission(
        database,
        clients.Billing(billing),
        lists,
        Writer(settings.public_url),
        clock,
        settings,
        rules.version,
    )
    feed = Feed(database, orders.billing, orders.writer, clock, queue=orders.queue)
    await server.serve(
        settings,
        registrations(orders, feed, rules),
        verifier=Verifier(clients.Tokens(auth).caller_keys, "generation", clock),
        parts=[feed, JobNotifier(database)],
        checks={"database": database.ping},
        on_stop=[orders.drain, auth.close, billing.close, database.close],
    )


async def media(settings: MediaSettings) -> None:
    """Take uploads and send content until told to end."""
    confinement.forbid_dumps()  # a decoder runs as the same user and must not read our keys from our memory
    scratch.sweep()
    auth, generation = channels.connect("auth", settings), channels.connect("generation", settings)
    verifier = Verifier(clients.Tokens(auth).caller_keys, "generation", SystemClock())
    records, store = Records(generation), open_store(settings.objects, settings.objects_options)
    uploads, downloads = Uploads(records, store, settings), Downloads(records, store, settings)
    application = Media(uploads, downloads, Reference(settings.public_url), verifier, settings).application()
    await server.serve(
        settings,
        parts=[Server(application, settings)],
        checks={"caller_keys": verifier.ready},
        on_stop=[auth.close, generation.close],
    )


def _watched(settings: Settings) -> None:
    follow(settings.clock_file, settings.bind)
    telemetry.configure(settings.name, settings.log_level)
    metrics.configure(settings.name, settings.otlp_endpoint)
    tracing.configure(settings.name, settings.otlp_endpoint)


def _work() -> None:
    """Run the worker, whose Triton client the other processes need not load."""
    from services.generation.worker import config, main  # noqa: PLC0415

    settings = from_env(config.WorkerSettings)
    _watched(settings)
    asyncio.run(main.work(settings))


def main(arguments: list[str]) -> int:
    """Run the command that is named; ends with 2 for another."""
    if arguments == ["serve"]:
        own = from_env(GenerationSettings)
        _watched(own)
        asyncio.run(serve(own))
    elif arguments == ["media"]:
        settings = from_env(MediaSettings)
        _watched(settings)
        asyncio.run(media(settings))
    elif arguments == ["work"]:
        _work()
    elif arguments == ["migrate"]:
        own = from_env(GenerationSettings)
        _watched(own)
        asyncio.run(migrate(own.owner_database_url, "generation"))
    else:
        sys.stderr.write("use: python -m services.generation serve | media | work | migrate\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(config.told(main, sys.argv[1:]))
