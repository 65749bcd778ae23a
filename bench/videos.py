"""Whole videos: what the platform adds to the model's own time, how long a model idles, what a whole life costs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from tritonclient.grpc.aio import InferenceServerClient

from bench import figures, machine
from bench.stage import MODEL, ORDER, SECONDS, Stage, connected
from services.generation.labels import aigc, mark, readback
from services.generation.triton import client as triton
from services.generation.worker import film
from services.generation.worker.config import WorkerSettings
from services.runtime import profile
from services.runtime.config import from_env

LOOK_SECONDS = 0.002
POLLS = 20
_STATE = "SELECT state, stage FROM videos WHERE id = $1"
_PLATFORM = ("auth", "billing", "generation", "media", "worker", "envoy", "postgres", "privacy")


async def measure(stage: Stage, singles: int, backlog: int, lives: int) -> dict[str, float]:
    """Measure unloaded videos one by one, a backlog, and whole lives."""
    async with _triton(stage) as server, connected(stage, "generation") as rows:
        await _single(stage, server, rows)  # the first one after a start is no ordinary one
        found = [await _single(stage, server, rows) for _ in range(singles)]
        share = await _backlog(stage, server, backlog)
    return figures.medians(found) | {"idle_share": share} | await _lives(stage, lives)


@asynccontextmanager
async def _triton(stage: Stage) -> AsyncIterator[InferenceServerClient]:
    settings = from_env(WorkerSettings, stage.suite.env("worker"))
    server = triton.connect(settings.triton_address, settings.triton_tls())
    try:
        yield server
    finally:
        await server.close()


async def _runs(server: InferenceServerClient) -> tuple[int, float]:
    """Return how many runs of the model have ended, and how many seconds they took in all, by Triton's own count."""
    told = await server.get_inference_statistics(MODEL)
    found = told.model_stats[0].inference_stats
    parts = (found.compute_input.ns, found.compute_infer.ns, found.compute_output.ns)
    return int(found.success.count), sum(parts) / 1e9


async def _single(stage: Stage, server: InferenceServerClient, rows: asyncpg.Connection) -> dict[str, float]:
    """Order one video, and note when its row changes, by looking every 2 ms; returns milliseconds by stage."""
    before = await _runs(server)
    asked = time.perf_counter()
    video = await stage.customers[0].call("POST", "/v1/videos", ORDER)
    moments = {"QUEUED": time.perf_counter()}
    while "SUCCEEDED" not in moments:
        state, shown = await rows.fetchrow(_STATE, video["id"])
        if state in ("FAILED", "CANCELLED") or time.perf_counter() - asked > 60:
            raise RuntimeError(f"the video {state.lower()}")
        name = shown if state == "RUNNING" else state
        moments.setdefault(name, time.perf_counter())
        await asyncio.sleep(LOOK_SECONDS)
    after = await _runs(server)
    if after[0] != before[0] + 1:
        raise RuntimeError("the model ran more or less than once")
    model = after[1] - before[1]
    path = stage.folder / f"{video['id']}.mp4"
    await stage.customers[0].download(f"/v1/videos/{video['id']}/content", path)
    return _split(asked, moments, model) | await _labels(path)


def _split(asked: float, moments: dict[str, float], model: float) -> dict[str, float]:
    first = min(moment for name, moment in moments.items() if name not in ("QUEUED",))
    steps = {
        "overhead_submit_ms": moments["QUEUED"] - asked,
        "overhead_queue_ms": first - moments["QUEUED"],
        "overhead_around_model_ms": moments["LABELING"] - first - model,
        "overhead_label_ms": moments["PUBLISHING"] - moments["LABELING"],
        "overhead_publish_ms": moments["SUCCEEDED"] - moments["PUBLISHING"],
    }
    whole = {"overhead_ms": moments["SUCCEEDED"] - asked - model, "model_ms": model}
    return {name: 1000 * seconds for name, seconds in (steps | whole).items()}


async def _labels(path: Path) -> dict[str, float]:
    """The two halves of labeling, each by itself on the finished film: remux, and reading all labels back."""
    rules = profile.load("default")
    label = film.visible_label(rules.labels, rules.place.locale, SECONDS)
    again = path.with_suffix(".again.mp4")
    began = time.perf_counter()
    await asyncio.to_thread(mark.mark, path, again, aigc.generated(WorkerSettings.provider_code))
    middle = time.perf_counter()
    await asyncio.to_thread(readback.read, again, label)
    end = time.perf_counter()
    again.unlink()
    path.unlink()
    return {"remux_ms": 1000 * (middle - began), "readback_ms": 1000 * (end - middle)}


async def _backlog(stage: Stage, server: InferenceServerClient, count: int) -> float:
    """Order many videos at once and watch the model's own count; returns the share of time in which it was idle."""
    done, total = await _runs(server)
    customers = stage.customers
    orders = (customers[number % len(customers)].call("POST", "/v1/videos", ORDER) for number in range(count))
    made = await asyncio.gather(*orders)
    ends, busy, last = [], [], done
    deadline = time.perf_counter() + 10 * count
    while last < done + count and time.perf_counter() < deadline:
        ended_now, spent = await _runs(server)
        if ended_now > last:
            ends.append(time.perf_counter())
            busy.append(spent - total)
            last, total = ended_now, spent
        await asyncio.sleep(2 * LOOK_SECONDS)
    for number, video in enumerate(made):
        await customers[number % len(customers)].until_settled(video["id"])
    return figures.idle_share(ends, busy)


async def _lives(stage: Stage, lives: int) -> dict[str, float]:
    """Create, 20 polls, download, settled: CPU of everything but the model, per life; idling is in it."""
    owner, target = stage.customers[0], stage.folder / "life.mp4"
    before, began = stage.cpu(), time.perf_counter()
    for _ in range(lives):
        video = await owner.call("POST", "/v1/videos", ORDER)
        for _ in range(POLLS):
            await owner.call("GET", f"/v1/videos/{video['id']}")
            await asyncio.sleep(0.02)
        await owner.until_settled(video["id"])
        await owner.download(f"/v1/videos/{video['id']}/content", target)
    seconds = (time.perf_counter() - began) / lives
    spent = machine.since(before, stage.cpu())
    await asyncio.sleep(1)
    before, began = stage.cpu(), time.perf_counter()
    await asyncio.sleep(3)
    rest = machine.since(before, stage.cpu())
    idle = sum(rest[name] for name in _PLATFORM) / (time.perf_counter() - began)
    by_process = {f"task_life_cpu_{name}_ms": 1000 * spent[name] / lives for name in _PLATFORM}
    whole = sum(by_process.values())
    return {
        "task_life_cpu_ms": whole,
        **by_process,
        "task_life_s": seconds,
        "idle_cpu_ms_per_s": 1000 * idle,
        "task_life_cpu_without_idling_ms": whole - 1000 * idle * seconds,
    }
