"""What the edge serves inside the house, in plaintext: its health for kubelets, its metrics for Prometheus.

The admin page stays a unix socket, since it can stop Envoy. Each of these listeners leads one path to it, and no other.
"""

from pathlib import Path
from typing import Any

from deploy.envoy.routes import TYPE

ADMIN = "admin"
HEALTH, METRICS = ("health", "/ready"), ("metrics", "/stats/prometheus")
"""Name of each listener, with the one path of the admin page that it shows."""
_MANAGER = "envoy.filters.network.http_connection_manager"


def listener(which: tuple[str, str], bind: str, port: int) -> dict[str, Any] | None:
    """The listener of HEALTH or METRICS on a port; None for port 0."""
    name, path = which
    if not port:
        return None
    route = {"match": {"path": path}, "route": {"cluster": ADMIN, "timeout": "5s"}}
    manager = {
        "@type": f"{TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "max_request_headers_kb": 8,
        "request_headers_timeout": "5s",
        "request_timeout": "5s",
        "common_http_protocol_options": {"idle_timeout": "60s", "max_headers_count": 100},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPE}extensions.filters.http.router.v3.Router"},
            }
        ],
        "route_config": {"name": name, "virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route]}]},
    }
    return {
        "name": name,
        "address": {"socket_address": {"address": bind, "port_value": port}},
        # An edge with all the connections or all the memory that it may have must not look ill to the kubelet.
        "ignore_global_conn_limit": True,
        "bypass_overload_manager": True,
        "filter_chains": [{"filters": [{"name": _MANAGER, "typed_config": manager}]}],
    }


def cluster(admin_socket: Path) -> dict[str, Any]:
    """The way to the admin page."""
    endpoint = {"address": {"pipe": {"path": str(admin_socket)}}}
    assignment = {"cluster_name": ADMIN, "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]}
    return {"name": ADMIN, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment}
