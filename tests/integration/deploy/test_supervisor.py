"""`make up` as a person knows it: a process in a terminal, with all real parts below it."""

import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local import ports
from deploy.local.config import ROOT
from deploy.local.suite import NAMES


class Terminal:
    """`python -m deploy.local up --telemetry` with a home and ports of its own; what it prints is read line by line."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ports = ports.free()
        more = ports.free()
        watched = {"prometheus_port": more.auth_port, "traces_port": more.media_port}
        numbers = {**dataclasses.asdict(self.ports), **watched}
        chosen = {f"FILMGATE_{name.upper()}": str(port) for name, port in numbers.items()}
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
            "FILMGATE_HOME": str(home / ".filmgate"), **chosen,
        }  # fmt: skip
        self.process = subprocess.Popen(
            self.command("up", "--telemetry"),
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.printed = ""

    @staticmethod
    def command(name: str, *options: str) -> list[str]:
        return [sys.executable, "-m", "deploy.local", name, *options]

    def until(self, text: str, seconds: float = 90) -> str:
        """Read on until `text` was printed; returns all that was."""
        while text not in self.printed:
            ready, _, _ = select.select([self.process.stdout], [], [], seconds)
            piece = os.read(self.process.stdout.fileno(), 65536).decode() if ready else ""
            assert piece, f"{text!r} did not come: {self.printed}"
            self.printed += piece
        return self.printed

    def other(self, name: str) -> tuple[int, str]:
        """Another command beside it; returns status and words."""
        ran = subprocess.run(
            self.command(name), env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=90
        )
        return ran.returncode, ran.stdout + ran.stderr

    def pids(self) -> dict[str, int]:
        """The processes of the parts, as the running supervisor notes them."""
        note = json.loads((self.home / ".filmgate" / "run" / "suite.json").read_bytes())
        return {name: part["pid"] for name, part in note["parts"].items()}

    def belongings(self) -> dict[int, str]:
        """Every process that was started for this home, by the environment that it got."""
        mark, found = f"FILMGATE_HOME={self.home}".encode(), {}
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found


def gone(pid: int, seconds: float = 20) -> bool:
    """Whether a process has ended, waited for without polling."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Terminal]:
    """A suite that has started."""
    terminal = Terminal(tmp_path)
    try:
        terminal.until("Ctrl-C")
        yield terminal
    finally:
        terminal.process.terminate()
        terminal.process.wait(90)
        terminal.process.stdout.close()


def test_up_tends_its_parts_and_ends_without_a_trace(up: Terminal) -> None:
    status, said = up.other("status")
    assert (status, said.count("ready")) == (0, len(NAMES))
    status, said = up.other("up")
    assert (status, "already running" in said) == (1, True)

    block = up.printed.split("Filmgate runs at ")[1].splitlines()
    told = [line.split("@")[0].rpartition(":")[0] for line in block if line.startswith("Telemetry: ")]
    assert told == ["Telemetry: Prometheus at http://filmgate", "Telemetry: traces at http://filmgate"]
    key = up.printed.split("key: ")[1].split()[0]
    for curl in [line for line in up.printed.splitlines() if line.strip().startswith("curl")]:
        ran = subprocess.run(["/bin/sh", "-c", curl], capture_output=True, text=True, check=True, timeout=60)
        assert '"code"' not in ran.stdout, ran.stdout

    before = up.pids()
    os.kill(before["worker"], signal.SIGKILL)
    up.until("worker ended (SIGKILL); it starts again")
    os.kill(before["postgres"], signal.SIGKILL)
    up.until("postgres ended; it starts again")
    with httpx.Client(base_url=f"http://127.0.0.1:{up.ports.edge_port}", trust_env=False, timeout=30) as client:
        client.headers["authorization"] = f"Bearer {key}"
        answers = [client.get("/v1/wallet").status_code]
        while answers[-1] != 200:
            answers.append(client.get("/v1/wallet").status_code)
        assert set(answers) <= {200, 503}

    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(90) == 0
    assert up.belongings() == {}
    assert up.other("status")[0] == 3


def test_nothing_outlives_a_killed_supervisor(up: Terminal) -> None:
    running = set(up.belongings()) | set(up.pids().values())
    assert len(running) > len(NAMES)
    up.process.kill()
    assert [pid for pid in running if not gone(pid)] == []
    assert up.belongings() == {}


def key_of(printed: str) -> str:
    return printed.split("Your key: ")[1].split(maxsplit=1)[0]


def started_again(up: Terminal) -> str:
    """Start once more on the same data, and stop; returns what was printed."""
    again = Terminal(up.home)
    try:
        return again.until("Ctrl-C")
    finally:
        again.process.terminate()
        assert again.process.wait(90) == 0
        again.process.stdout.close()


def test_it_starts_again_on_the_same_data_whatever_limits_customers_have_met(up: Terminal) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{up.ports.edge_port}", trust_env=False, timeout=30) as client:
        wish, answers = {"channel": "EMAIL", "purpose": "REGISTER"}, []
        while 429 not in answers:
            answers.append(
                client.post("/v1/codes:send", json=wish | {"target": f"c{len(answers)}@example.com"}).status_code
            )
    assert up.other("down") == (0, "Filmgate has stopped.\n")
    assert up.process.wait(10) == 0

    remembered = up.home / ".filmgate" / "customer.json"
    account = json.loads(remembered.read_bytes())["account"]
    printed = started_again(up)
    assert "migrations" not in printed
    assert key_of(printed) == key_of(up.printed)
    assert json.loads(remembered.read_bytes())["account"] == account

    remembered.unlink()
    printed = started_again(up)
    assert "The suite runs, but without a ready-made key: 429 SEND_TOO_SOON" in printed
    assert "Traceback" not in printed
    assert "Your key" not in printed
