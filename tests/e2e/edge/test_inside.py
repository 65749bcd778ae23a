"""What the edge serves inside the house: health and metrics in plaintext, and nothing else of its admin page."""

import httpx
import pytest

from deploy.local import ports
from tests.support.edge import Edge

FREE = ports.free()
HEALTH, METRICS = f"http://127.0.0.1:{FREE.auth_port}", f"http://127.0.0.1:{FREE.billing_port}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """An edge whose health and metrics are served."""
    edge = Edge(tmp_path_factory.mktemp("edge"), health_port=FREE.auth_port, metrics_port=FREE.billing_port)
    edge.start()
    yield edge
    edge.stop()


def test_a_kubelet_learns_that_the_edge_is_ready(watched):
    answer = httpx.get(f"{HEALTH}/ready")
    assert (answer.status_code, answer.text.strip()) == (200, "LIVE")


def test_prometheus_reads_the_metrics(watched):
    answer = httpx.get(f"{METRICS}/stats/prometheus")
    assert answer.status_code == 200
    assert "# TYPE envoy_cluster_upstream_cx_total counter" in answer.text


@pytest.mark.parametrize("place", [HEALTH, METRICS], ids=["health", "metrics"])
@pytest.mark.parametrize(
    "path",
    ["/", "/quitquitquit", "/config_dump", "/certs", "/ready/", "/ready/../quitquitquit", "/stats", "/v1/models"],
)
def test_nothing_else_of_the_admin_page_is_shown(watched, place, path):
    with httpx.Client() as client:
        request = client.build_request("POST", place)
        request.url = request.url.copy_with(raw_path=path.encode())
        assert client.send(request).status_code == 404
    assert watched.envoy.alive


def test_each_port_shows_its_own_path_alone(watched):
    assert httpx.get(f"{HEALTH}/stats/prometheus").status_code == 404
    assert httpx.get(f"{METRICS}/ready").status_code == 404
