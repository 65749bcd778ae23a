"""Ray Serve with one replica that keeps orders in memory. Runs in .venv-peer-ray: `python ray_server.py <port>`."""

import itertools
import signal
import sys
from typing import Any

import ray
from ray import serve


@serve.deployment(num_replicas=1, max_ongoing_requests=100)
class Films:
    """`POST /v1/videos` and `GET /v1/videos/{id}`."""

    def __init__(self) -> None:
        self._orders: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)

    async def __call__(self, request: Any) -> dict[str, Any]:
        """Return one request of Starlette's."""
        if request.method == "POST":
            order = {"id": f"vid_{next(self._numbers)}", "state": "QUEUED", **await request.json()}
            self._orders[order["id"]] = order
            return order
        return self._orders.get(request.url.path.rpartition("/")[2], {})


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Films.bind(), route_prefix="/")
    signal.pause()
