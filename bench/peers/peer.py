"""One peer: how it is started, what it is asked, and what it does not do."""

import asyncio
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from bench import machine
from bench.load import Request
from bench.stage import ORDER
from deploy.local import config
from deploy.local.process import Process

HERE = Path(__file__).parent
KEY = "sk-bench"
READY_SECONDS = 90.0
_SORA = {"model": "sora-2", "prompt": ORDER["prompt"], "seconds": "4"}
Answer = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Peer:
    """A server in an environment of its own. `commands` by name, the peer's first; `id_of` reads a submit's answer."""

    name: str
    lacks: str
    commands: Callable[[int, int, Path], dict[str, list[str]]]
    submit: Request
    poll_path: Callable[[str], str]
    id_of: Callable[[Answer], str]

    def polls(self, ids: list[str]) -> list[Request]:
        """Return requests for the status of orders."""
        return [Request("GET", self.poll_path(found), KEY) for found in ids]


def python(name: str) -> str:
    """The interpreter of a peer's environment; `make bench-peers` makes it."""
    return str(config.ROOT / f".venv-peer-{name}" / "bin" / "python")


def _bentoml(port: int, _: int, __: Path) -> dict[str, list[str]]:
    where = ["--host", "127.0.0.1", "--port", str(port), "--working-dir", str(HERE)]
    return {"bentoml": [python("bentoml"), "-m", "bentoml", "serve", "bentoml_server:Films", *where]}


def _ray(port: int, _: int, __: Path) -> dict[str, list[str]]:
    return {"ray": [python("ray"), str(HERE / "ray_server.py"), str(port)]}


def _litellm(port: int, upstream: int, folder: Path) -> dict[str, list[str]]:
    served = {"model": "openai/sora-2", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    settings = {"model_list": [{"model_name": "sora-2", "litellm_params": served}]}
    written = folder / "litellm.yaml"
    written.write_text(json.dumps(settings | {"general_settings": {"master_key": KEY}}))
    proxy = str(Path(python("litellm")).with_name("litellm"))
    return {
        "litellm": [proxy, "--config", str(written), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"],
        "upstream": [str(config.ROOT / ".venv" / "bin" / "python"), "-m", "bench.peers.upstream", str(upstream)],
    }


PEERS = (
    Peer(
        "litellm",
        "one master key; no virtual keys and budgets (they need Prisma's engines from a download), no hold of money, "
        "no task of its own: it forwards to an upstream, here one that answers at once",
        _litellm,
        Request("POST", "/v1/videos", KEY, json.dumps(_SORA)),
        "/v1/videos/{}".format,
        lambda answer: str(answer["id"]),
    ),
    Peer(
        "bentoml",
        "no keys, no money, no idempotency; its tasks are rows of a SQLite file without fsync, lost with the machine",
        _bentoml,
        Request("POST", "/render/submit", KEY, json.dumps(ORDER)),
        "/render/status?task_id={}".format,
        lambda answer: str(answer["task_id"]),
    ),
    Peer(
        "ray",
        "no keys, no money, no idempotency; orders are in one replica's memory",
        _ray,
        Request("POST", "/v1/videos", KEY, json.dumps(ORDER)),
        "/v1/videos/{}".format,
        lambda answer: str(answer["id"]),
    ),
)


@asynccontextmanager
async def running(peer: Peer, ports: tuple[int, int], folder: Path) -> AsyncIterator[tuple[str, Callable[[], float]]]:
    """Run a peer until the end of the block; yields its address and a function that tells its CPU seconds so far."""
    with tempfile.TemporaryDirectory(prefix="peer-") as short:  # sockets lie in it
        async with _started(peer, ports, folder, Path(short)) as begun:
            yield begun


@asynccontextmanager
async def _started(
    peer: Peer, ports: tuple[int, int], folder: Path, short: Path
) -> AsyncIterator[tuple[str, Callable[[], float]]]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(short), "RAY_TMPDIR": str(short)}
    environment |= {"PYTHONPATH": f"{config.ROOT}:{config.ROOT / 'gen'}", "BENTOML_DO_NOT_TRACK": "1"}
    environment |= {"RAY_USAGE_STATS_ENABLED": "0", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    commands = peer.commands(*ports, folder)
    parts = {
        name: Process(name, command, environment, folder / f"{name}.log", config.ROOT)
        for name, command in commands.items()
    }
    url = f"http://127.0.0.1:{ports[0]}"
    try:
        for process in parts.values():
            process.launch()
        await _until_ready(peer, url, parts[peer.name])
        yield url, lambda: machine.cpu_seconds({peer.name: parts[peer.name].pid or 0})[peer.name]
    finally:
        for process in parts.values():
            process.end(5)


async def submitted(peer: Peer, url: str, count: int) -> list[str]:
    """Submit some orders, one after the other; returns their ids. Raises httpx.HTTPError when one is refused."""
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        ids = []
        for _ in range(count):
            answer = await client.post(peer.submit.path, content=peer.submit.body, headers=headers)
            ids.append(peer.id_of(answer.raise_for_status().json()))
        return ids


async def _until_ready(peer: Peer, url: str, process: Process) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            await submitted(peer, url, 1)
        except (httpx.HTTPError, KeyError, ValueError) as fault:
            if not process.alive or time.monotonic() > deadline:
                raise RuntimeError(f"{peer.name} did not start: {fault}\n{process.last_words()}") from fault
            await asyncio.sleep(0.5)
        else:
            return
