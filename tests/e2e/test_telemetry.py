"""What `make up TELEMETRY=1` starts beside a suite: Prometheus reads every process, knows our rules, and answers what
the dashboard asks."""

import json
from functools import partial
from typing import Any

import httpx

from deploy.local import ports
from deploy.observability.local import RULES, Watch, WatchPorts
from tests.e2e.conftest import ended
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


async def test_prometheus_reads_every_process_and_answers_the_dashboard(suite, customer, tmp_path):
    free = ports.free()
    own = WatchPorts(prometheus_port=free.auth_port, otlp_port=free.billing_port, traces_port=free.media_port)
    video = await customer.call("POST", "/v1/videos", {"model": "animatic", "prompt": "a lighthouse"})
    await ended(customer, video["id"])
    with Watch(tmp_path, suite.ports, own) as watch:
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
