"""`python -m services.generation work`: the process that makes videos and runs every job of generation's database."""

import os
import socket

from services.generation.clients import Billing
from services.generation.files.jobs import FileJobs
from services.generation.files.objects import open_store
from services.generation.film.label import plate
from services.generation.labels import aigc
from services.generation.models.catalogue import models
from services.generation.triton import client as triton
from services.generation.videos import store as videos
from services.generation.videos.jobs import VideoJobs
from services.generation.worker import film
from services.generation.worker.config import WorkerSettings
from services.generation.worker.make import Maker
from services.generation.worker.parts import Every, Reports, Slots
from services.runtime import channels, profile, server
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.profile import Profile
from services.runtime.runner import Runner

FILE_SWEEP_SECONDS = 60.0
EFFECTS = 8
LEAST_SIDE, LONGEST_SECONDS = 480, 60.0


async def work(settings: WorkerSettings) -> None:
    """Work until told to end. Raises LabelUnfit or AigcInvalid at once when the profile's labels cannot be made."""
    rules, clock = profile.load(settings.profile), SystemClock()
    _check_labels(rules, settings.provider_code)
    database, objects = Database(settings.database_url), open_store(settings.objects)
    await database.require_revision("generation")
    billing, model_server = channels.connect("billing", settings), triton.connect(settings.triton_address)
    worker = f"{socket.gethostname()}-{os.getpid()}"
    lease = {"clock": clock, "lease_seconds": settings.lease_seconds, "beat_seconds": settings.beat_seconds}
    maker = Maker(database, model_server, objects, rules, clock, settings.provider_code, settings.run_seconds)
    video_jobs = VideoJobs(database, Billing(billing, clock), clock, rules.retention.input_days)
    file_jobs = FileJobs(database, objects, clock)

    def slots(number: int) -> Runner:
        handlers, buried = {videos.GENERATE: maker.generate}, {videos.GENERATE: maker.give_up}
        return Runner(database, handlers, name=worker, concurrency=number, buried=buried, **lease)

    effects = video_jobs.handlers() | file_jobs.handlers()
    reports = Reports(database, model_server, list(models()), worker, clock)
    parts = [
        Slots(model_server, list(models()), slots),
        Runner(database, effects, name=f"{worker}-effects", concurrency=EFFECTS, **lease),
        reports,
        Every("sweep_holds", settings.hold_sweep_seconds, video_jobs.sweep_holds),
        Every("sweep_rows", FILE_SWEEP_SECONDS, video_jobs.sweep_rows),
        Every("sweep_files", FILE_SWEEP_SECONDS, file_jobs.sweep),
    ]
    checks = {"database": database.ping, "model": reports.proven}
    ends = [model_server.close, billing.close, database.close]
    await server.serve(settings, parts=parts, checks=checks, on_stop=ends)


def _check_labels(rules: Profile, provider_code: str) -> None:
    """Make the labels once: a worker that could publish nothing shall not start."""
    label = film.visible_label(rules.labels, rules.place.locale, LONGEST_SECONDS)
    plate(label, LEAST_SIDE, LEAST_SIDE)
    aigc.generated(provider_code)
