"""What `make up TELEMETRY=1` starts beside a suite: Prometheus reads every process, knows our rules, and answers what
the dashboard asks."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local import ports
from deploy.local.certificates import triton_folder
from deploy.local.config import keys_folder
from deploy.local.postgres import SOCKET
from deploy.observability.local import RULES, Watch, WatchPorts
from tests.e2e.conftest import ended
from tests.support import nobody
from tests.support.waiting import until

DASHBOARD = RULES.with_name("dashboard.json")
UNASKED = {"filmgate_request_errors_total", "filmgate_check_refusals_total"}
"""Nothing need have been refused."""


async def answer(client: httpx.AsyncClient, path: str, **arguments: str) -> Any:
    found = (await client.get(f"/api/v1/{path}", params=arguments)).raise_for_status().json()
    assert found["status"] == "success"
    return found["data"]


async def answered(client: httpx.AsyncClient, query: str, wanted: bool) -> bool:
    """Ask; whether there is a figure, or need be none."""
    return bool((await answer(client, "query", query=query))["result"]) or not wanted


@pytest.fixture
def watch(suite, tmp_path):
    """Prometheus and the receiver beside the suite."""
    free = ports.free()
    own = WatchPorts(prometheus_port=free.auth_port, traces_port=free.media_port)
    with Watch(tmp_path, suite.ports, own) as running:
        yield running


@nobody.needs_root
def test_another_user_of_the_machine_gets_nothing(suite, watch):
    """Review S2: no page, no span posted, no file, no socket, no model."""
    for url in (watch.traces, watch.prometheus):
        found = nobody.asks("web", f"http://{url.rpartition('@')[2]}")
        assert set(found.values()) == {401}, found
    spans = watch.settings["FILMGATE_OTLP_ENDPOINT"].removeprefix("unix:")
    closed = [spans, str(suite.admin_socket), str(suite.postgres.sockets / SOCKET)]
    assert all(Path(path).is_socket() for path in closed)
    assert nobody.asks("sockets", closed) == []
    for folder in (suite.home, keys_folder(suite.home), Path(spans).parent):
        assert nobody.asks("files", str(folder)) == [], folder
    mark = suite.home.parent / "mark"
    authority = (triton_folder(suite.home) / "ca.crt").read_text()
    found = nobody.asks("triton", suite.ports.triton_port, authority, str(mark))
    assert set(found.values()) == {"UNAVAILABLE"}, found
    assert not mark.exists()


async def test_prometheus_reads_every_process_and_answers_the_dashboard(customer, watch):
    video = await customer.call("POST", "/v1/videos", {"model": "animatic", "prompt": "a lighthouse"})
    await ended(customer, video["id"])
    async with httpx.AsyncClient(base_url=watch.prometheus, trust_env=False) as client:

        async def up():
            targets = (await answer(client, "targets"))["activeTargets"]
            states = {target["labels"]["process"]: target["health"] for target in targets}
            return states if set(states.values()) == {"up"} else None

        states = await until(up, what="every process up")
        assert states.keys() == {"auth", "billing", "generation", "privacy", "media", "worker", "edge"}
        rules = (await answer(client, "rules"))["groups"][0]["rules"]
        assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
        queries = [
            target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]
        ]
        for query in queries:
            wanted = not any(name in query for name in UNASKED)
            await until(partial(answered, client, query, wanted), what=query)
        raised = {alert["labels"]["alertname"] for alert in (await answer(client, "alerts"))["alerts"]
                  if alert["state"] == "firing"}  # fmt: skip
        assert not raised & {"ProcessDown", "LedgerBroken", "JobDead", "CertificateEnds", "WalletParked"}
    async with httpx.AsyncClient(trust_env=False) as client:
        assert "0 traces" in (await client.get(f"{watch.traces}/")).text
        for url in (watch.traces, watch.prometheus):
            for user in ("", "filmgate:wrong@", "filmgate:@"):
                bare = f"http://{user}{url.rpartition('@')[2]}/"
                assert (await client.get(bare)).status_code == 401, bare
