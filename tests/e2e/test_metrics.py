"""What a running suite exposes is the table of metrics, no more and no less; and none of it is about a person."""

import contextlib
import re
from functools import partial

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy import metrics as docs
from deploy.local.client import Refused
from services.billing import audit
from services.runtime import metrics
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from tests.e2e.conftest import ended
from tests.support.figures import figure
from tests.support.waiting import until

PROCESSES = ("auth", "billing", "generation", "privacy", "media", "worker")
NOWHERE = "01K9000000000000000000000A"
REFUSED = (
    ("POST", "/v1/sessions", {"flow_id": "nonsense", "code": "000000"}),
    ("GET", "/v1/wallet/transactions?page_token=nonsense", None),
    ("GET", f"/v1/videos/vid_{NOWHERE}", None),
    ("POST", f"/v1/policies/pol_{NOWHERE}:accept", {"language": "en", "sha256": "0" * 64}),
    ("GET", f"/v1/files/fil_{NOWHERE}/content", None),
)
"""One refusal by each process that serves customers, in the order auth, billing, generation, privacy, media."""
ID = re.compile(r"[a-z]{3}_[0-9A-Z]{26}")


async def page(suite, process: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{suite.ports.metrics(process)}/metrics")
        return answer.raise_for_status().text


def names(text: str) -> set[str]:
    """Names as the table has them: the parser leaves `_total` off."""
    families = text_string_to_metric_families(text)
    return {f"{family.name}_total" if family.type == "counter" else family.name for family in families}


async def exposed(suite, process: str, wanted: set[str]) -> bool:
    return names(await page(suite, process)) == wanted


async def test_a_suite_that_works_exposes_exactly_what_the_table_names(suite, customer):
    video = await customer.call("POST", "/v1/videos", {"model": "animatic", "prompt": "a lighthouse"})
    await ended(customer, video["id"])
    for verb, path, body in REFUSED:
        with pytest.raises(Refused):
            await customer.call(verb, path, body)
    customer.credential = "sk-nobody"
    with pytest.raises(Refused):
        await customer.call("GET", "/v1/models")
    billing = Database(suite.database_urls["billing"][1])
    async with billing.transaction() as session:
        made = {"actor": "operator", "action": "UnparkWallet", "subject": "test", "detail": {}}
        await audit.record(session, **made, now=SystemClock().now())
    await billing.close()
    for process in PROCESSES:
        wanted = {name for name, row in metrics.TABLE.items() if process in row.processes.split()}
        with contextlib.suppress(TimeoutError):
            await until(partial(exposed, suite, process, wanted))
        text = await page(suite, process)
        assert names(text) == wanted, process
        for family in text_string_to_metric_families(text):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            row = metrics.TABLE[name]
            assert (family.type, family.documentation) == (row.kind, row.meaning)
            assert all(sample.labels.keys() - {"le"} == set(row.labels.split()) for sample in family.samples), name
        assert not ID.search(text), process
    billed = await page(suite, "billing")
    assert figure("filmgate_holds_total", {"outcome": "captured"}, billed) >= 1
    assert figure("filmgate_ledger_violations", page=billed) == 0
    assert figure("filmgate_ledger_checked_seconds", page=billed) > 1.7e9
    worked = await page(suite, "worker")
    assert figure("filmgate_model_busy_seconds_total", {"model": "animatic"}, worked) > 0
    assert figure("filmgate_jobs_queue_age_seconds", {"kind": "settle"}, worked) < 600


async def test_the_edge_exposes_its_own_figures(suite):
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{suite.ports.edge_metrics_port}/stats/prometheus")
    assert {"envoy_http_downstream_rq_total", "envoy_cluster_upstream_rq"} <= names(answer.text) | {
        name.removesuffix("_total") for name in names(answer.text)
    } | {sample.name for family in text_string_to_metric_families(answer.text) for sample in family.samples}


def test_the_page_for_operators_has_todays_list():
    assert docs.written(docs.PAGE.read_text()) == docs.PAGE.read_text(), "make docs"
