"""`python -m services.generation work`: the process that makes videos and runs every job of generation's database."""

import functools
import os
import socket

from obstore.store import ObjectStore
from tritonclient.grpc.aio import InferenceServerClient

from services.generation.clients import Billing
from services.generation.files import scratch
from services.generation.files.jobs import FileJobs
from services.generation.files.objects import open_store
from services.generation.film.label import plate
from services.generation.labels import aigc
from services.generation.models.catalog import models
from services.generation.triton import client as triton
from services.generation.triton import contract
from services.generation.videos import store as videos
from services.generation.videos.jobs import VideoJobs
from services.generation.worker import film
from services.generation.worker.config import WorkerSettings
from services.generation.worker.make import Maker
from services.generation.worker.notifications import JobListener
from services.generation.worker.parts import Every, Ready, Reports, Slots, restore
from services.runtime import channels, config, profile, server
from services.runtime.clock import SystemClock
from services.runtime.config import ConfigError
from services.runtime.database import Database
from services.runtime.profile import Profile
from services.runtime.runner import Runner
from services.runtime.server import BackgroundTask

FILE_SWEEP_SECONDS = 60.0
PARTIAL_SWEEP_SECONDS = 3600.0
RESTORE_SECONDS = 5.0
LOAD_AGAIN_SECONDS = 60.0
EFFECTS = 8
MIN_SIDE, MAX_SECONDS, FRAME_RATE = 480, 60.0, 24


async def work(settings: WorkerSettings) -> None:
    """Work until told to end. Raises StartFault at once when the profile's labels cannot be made,
    ConfigError for a model that the catalog does not know."""
    rules = profile.load(settings.profile)
    with config.reading("the labels of the profile, or FILMGATE_PROVIDER_CODE,"):
        check_labels(rules, settings.provider_code)
    check_models(settings.offered)
    scratch.sweep()
    model_server = triton.connect(settings.triton_address, settings.triton_tls())
    database = Database(settings.database_url)
    await database.require_revision("generation")
    billing = channels.connect("billing", settings)
    offered = settings.offered
    reports = Reports(database, model_server, offered, _name(), SystemClock())
    parts = [
        *_slots(settings, rules, database, model_server, open_store(settings.objects, settings.objects_options)),
        *_effects(settings, rules, database, Billing(billing), open_store(settings.objects, settings.objects_options)),
        Every("restore_models", RESTORE_SECONDS, functools.partial(restore, model_server, offered)),
        Every("load_models", LOAD_AGAIN_SECONDS, functools.partial(restore, model_server, offered, failed=True)),
        reports,
        JobListener(database),
    ]
    checks = {"database": database.ping, "model": reports.proven}
    ends = [model_server.close, billing.close, database.close]
    await server.serve(settings, parts=parts, checks=checks, on_stop=ends)


def _slots(
    settings: WorkerSettings,
    rules: Profile,
    database: Database,
    model_server: InferenceServerClient,
    store: ObjectStore,
) -> list[BackgroundTask]:
    """What makes videos: for each model a queue and slots of its own."""
    clock = SystemClock()
    maker = Maker(database, model_server, store, rules, clock, settings.provider_code, settings.run_seconds)

    def runner(model: str, slots: int, ready: Ready) -> Runner:
        return Runner(
            database,
            {videos.generating(model): maker.generate},
            clock=clock,
            name=_name(),
            lease_seconds=settings.lease_seconds,
            lease_renewal_seconds=settings.lease_renewal_seconds,
            concurrency=slots,
            on_dead={videos.generating(model): maker.give_up},
            ready=ready,
        )

    return [Slots(model_server, model, functools.partial(runner, model)) for model in settings.offered]


def _effects(
    settings: WorkerSettings, rules: Profile, database: Database, billing: Billing, store: ObjectStore
) -> list[BackgroundTask]:
    """All other jobs, and what recurs."""
    clock = SystemClock()
    video_jobs = VideoJobs(database, billing, clock, rules.retention)
    file_jobs = FileJobs(database, store, clock)
    runner = Runner(
        database,
        video_jobs.handlers() | file_jobs.handlers(),
        clock=clock,
        name=f"{_name()}-effects",
        lease_seconds=settings.lease_seconds,
        lease_renewal_seconds=settings.lease_renewal_seconds,
        concurrency=EFFECTS,
    )
    return [
        runner,
        Every("sweep_holds", settings.hold_sweep_seconds, video_jobs.sweep_holds),
        Every("sweep_rows", FILE_SWEEP_SECONDS, video_jobs.sweep_rows),
        Every("sweep_files", FILE_SWEEP_SECONDS, file_jobs.sweep),
        Every("sweep_partial", PARTIAL_SWEEP_SECONDS, file_jobs.sweep_partial),
    ]


def check_models(offered: tuple[str, ...]) -> None:
    """Raise ConfigError unless FILMGATE_MODELS names models of the catalog, at least one."""
    unknown = [name for name in offered if name not in models()]
    if unknown or not offered:
        known = ", ".join(sorted(models()))
        raise ConfigError(f"FILMGATE_MODELS names {', '.join(unknown) or 'no model'}; the catalog knows {known}")


def check_labels(rules: Profile, provider_code: str) -> None:
    """Make the labels once: a worker that could publish nothing shall not start.

    Raises LabelUnfit or JobRefused for the visible label, AigcInvalid for the other.
    """
    label = film.visible_label(rules.labels, rules.place.locale, MAX_SECONDS)
    plate(label, MIN_SIDE, MIN_SIDE)
    job = contract.Job("check", "", MAX_SECONDS, MIN_SIDE, MIN_SIDE, FRAME_RATE, 0, label)
    contract.job_of_bytes(job.to_bytes())
    aigc.generated(provider_code)


def _name() -> str:
    """This worker among all: in reports and in the jobs it holds."""
    return f"{socket.gethostname()}-{os.getpid()}"
