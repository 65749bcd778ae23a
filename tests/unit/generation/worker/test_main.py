"""The worker as a process: what it refuses to start with, and that its parts work together."""

import asyncio
import dataclasses
import os
import signal

import pytest

from services.generation.film.label import LabelUnfit
from services.generation.labels.aigc import AigcInvalid
from services.generation.triton.contract import JobRefused
from services.generation.videos import store as videos
from services.generation.worker import main
from services.generation.worker.config import WorkerSettings
from services.runtime import profile
from services.runtime.config import from_env
from tests.support import rpc
from tests.support.films import PROVIDER

PROFILES = sorted(path.stem for path in profile.FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", PROFILES)
def test_the_labels_of_every_profile_can_be_made(name):
    main.check_labels(profile.load(name), WorkerSettings.provider_code)


def with_labels(rules, **changes):
    labels = dataclasses.replace(rules.labels, **changes)
    return dataclasses.replace(rules, labels=labels)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"text_zh": ""}, LabelUnfit),
        ({"text_zh": "🙂"}, LabelUnfit),
        ({"text_zh": "人工智能生成" * 20}, LabelUnfit),
        ({"height_percent": 0.5}, JobRefused),
        ({"seconds": 0.1}, JobRefused),
    ],
)
def test_a_label_that_cannot_be_made_is_found_at_the_start(studio_rules, changes, fault):
    with pytest.raises(fault):
        main.check_labels(with_labels(studio_rules, **changes), PROVIDER)


def test_a_wrong_provider_is_found_at_the_start(studio_rules):
    with pytest.raises(AigcInvalid):
        main.check_labels(studio_rules, "FILMGATE")


def test_the_environment_names_the_settings():
    settings = from_env(WorkerSettings, {"FILMGATE_RUN_SECONDS": "60", "FILMGATE_PROVIDER_CODE": PROVIDER})
    assert (settings.name, settings.run_seconds, settings.provider_code) == ("worker", 60, PROVIDER)


async def test_the_process_makes_a_video_and_ends_when_it_is_told(studio, triton_server, tmp_path):
    url = studio.database.engine.url.render_as_string(hide_password=False)
    certs = triton_server.triton.certificates
    settings = rpc.settings(
        "worker", WorkerSettings, health_port=0, metrics_port=0, database_url=url, objects=str(tmp_path / "objects"),
        triton_address=triton_server.address, triton_tls_ca=certs / "ca.crt", triton_tls_cert=certs / "worker.crt",
        triton_tls_key=certs / "worker.key", billing_address="127.0.0.1:9",
    )  # fmt: skip
    studio.clock.advance((main.SystemClock().now() - studio.clock.now()).total_seconds())
    process = asyncio.create_task(main.work(settings))
    video_id = await studio.order()
    assert (await studio.until_ended(video_id)).state == "SUCCEEDED"
    [file] = await studio.outputs(video_id)
    assert len(await studio.content(file)) == file.size_bytes
    assert (await studio.job(videos.SETTLE, video_id)).end_time is None, "it is repeated until billing answers"
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(process, 60)
