"""Another user of the same machine, and what they can reach of us: `nobody.asks("triton", port, authority)`.

A program of its own, started as root: it loads what it needs, gives all rights up for good, tries, and prints what it
got. Only root can become somebody else, so an ordinary user skips these tests (`needs_root`).
"""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import httpx
import pytest
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from deploy.local import listeners
from deploy.local.config import ROOT
from services.generation.triton.client import NAMED

USER = 65534
SECONDS = 5.0
EVIL = "open({mark!r}, 'w').write('in')\n"
"""Bears the name of what every model's process loads first, so that it runs whatever the server has installed."""
TENSOR = {"name": "X", "data_type": "TYPE_UINT8", "dims": [-1]}
CONFIG = json.dumps({"name": "evil", "backend": "python", "input": [TENSOR], "output": [{**TENSOR, "name": "Y"}]})
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can try what another user of the machine can")


def asks(action: str, *arguments: object) -> Any:
    """Return what an action of ACTIONS gets as the user nobody. Raises CalledProcessError when it cannot be tried."""
    done = subprocess.run(**_program(action, *arguments), capture_output=True, check=True, timeout=120)
    return json.loads(done.stdout)


@contextlib.contextmanager
def listens(port: int) -> Iterator[Callable[[], list[str]]]:
    """Let the user nobody listen on a loopback port, from here on until the end of the block.

    Yield a function that ends it and returns the Authorization header of each request that came.
    """
    program = _program("receive", port)
    with subprocess.Popen(**program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "\n", "it listens"
            yield lambda: list(json.loads(process.communicate(timeout=60)[0]))
        finally:
            process.kill()


def _program(action: str, *arguments: object) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    command = [sys.executable, "-m", "tests.support.nobody", action, json.dumps(arguments)]
    return {"args": command, "env": environment, "cwd": ROOT, "text": True}


def triton(port: int, authority: str, mark: str) -> dict[str, str]:
    """Load a model of their own, which would write the file `mark`, and read the index; in plain and by TLS.

    Return the gRPC code, or "OK", by way and call.
    """
    secured = grpc.ssl_channel_credentials(authority.encode())
    found = {}
    for way, options in (("plain", {}), ("tls", {"creds": secured})):
        server = InferenceServerClient(f"127.0.0.1:{port}", channel_args=NAMED, **options)
        found |= {f"{way} {name}": _code(call) for name, call in _calls(server, mark).items()}
    return found


def _calls(server: InferenceServerClient, mark: str) -> dict[str, Callable[[], object]]:
    code = EVIL.format(mark=mark).encode()
    files = {"file:1/model.py": code, "file:1/numpy.py": code}
    return {
        "load": lambda: server.load_model("evil", config=CONFIG, files=files, client_timeout=SECONDS),
        "index": lambda: server.get_model_repository_index(client_timeout=SECONDS),
        "ready": lambda: server.is_server_ready(client_timeout=SECONDS),
    }


def _code(call: Callable[[], object]) -> str:
    try:
        call()
    except InferenceServerException as fault:
        return str(fault.status()).removeprefix("StatusCode.")
    return "OK"


def files(folder: str) -> list[str]:
    """Return the files and folders at and below `folder` that they can read or write."""
    open_to_them = [folder] if os.access(folder, os.R_OK) or os.access(folder, os.W_OK) else []
    for place, folders, names in os.walk(folder):
        paths = (os.path.join(place, name) for name in [*folders, *names])
        open_to_them += [path for path in paths if os.access(path, os.R_OK) or os.access(path, os.W_OK)]
    return open_to_them


def web(url: str) -> dict[str, int]:
    """Read and post where telemetry listens, without its password; return the status of each."""
    found = {}
    with httpx.Client(base_url=url, trust_env=False, timeout=SECONDS) as client:
        for path in ("/", "/traces/x", "/metrics", "/api/v1/targets", "/api/v1/query?query=up"):
            found[f"GET {path}"] = client.get(path).status_code
        found["POST /v1/traces"] = client.post("/v1/traces", json={"resourceSpans": []}).status_code
    return found


def sockets(paths: list[str]) -> list[str]:
    """Return the unix sockets, of these paths, that take their connection."""
    open_to_them = []
    for path in paths:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(path)
            except OSError:
                continue
            open_to_them.append(path)
    return open_to_them


def receive(port: int) -> list[str]:
    """Listen on a port as a telemetry page would, say so, answer 200 to everything, until standard input ends.

    Return the Authorization header of each request, "" for one without.
    """
    shown: list[str] = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write("\n")
        sys.stdout.flush()
        sys.stdin.read()
        server.shutdown()
    return shown


HIDES = """
import signal, socket, sys
from services.generation.media.confinement import forbid_dumps
forbid_dumps()
held = [socket.create_server(("127.0.0.1", int(port))) for port in sys.argv[1:]]
print(flush=True)
signal.pause()
"""


def hides(own: list[int], other: int, foreign: int) -> dict[str, Any]:
    """Start a program that listens on the ports `own` and shows its open files to root alone, as media does.

    Return what `listeners` says of it as the user who started it, who listens on the port `other`; root does on the
    port `foreign`.
    """
    command = [sys.executable, "-c", HIDES, *map(str, own)]
    with (
        socket.create_server(("127.0.0.1", other)),
        subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process,
    ):
        assert process.stdout is not None
        process.stdout.readline()
        try:
            return {
                "own": listeners.all_of(process.pid, own),
                "with another": listeners.all_of(process.pid, [*own, other]),
                "with root": listeners.all_of(process.pid, [*own, foreign]),
                "strangers": listeners.strangers(process.pid, [*own, other, foreign]),
            }
        finally:
            process.kill()


ACTIONS: dict[str, Callable[..., Any]] = {
    "triton": triton,
    "files": files,
    "web": web,
    "sockets": sockets,
    "receive": receive,
    "hides": hides,
}


def main(action: str, arguments: str) -> int:
    """Become nobody for good, act, and print the result as JSON."""
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    found = ACTIONS[action](*json.loads(arguments))
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
