"""Telemetry's password goes to nobody who came first to one of its ports (review S2)."""

import socket
from contextlib import ExitStack

import pytest

from deploy.local import ports
from deploy.observability.local import Watch, WatchError, WatchPorts
from tests.support import nobody

NAMES = ("traces", "prometheus")


@pytest.fixture
def own():
    chosen = ports.free()
    return WatchPorts(prometheus_port=chosen.auth_port, traces_port=chosen.media_port)


def number(own, name):
    return getattr(own, f"{name}_port")


def refusal(own, name):
    return f"Port {number(own, name)} is taken by another program; set FILMGATE_{name.upper()}_PORT to a free one."


class Overtaken(Watch):
    """Its ports are free when it looks, and taken by another before its programs listen."""

    def __init__(self, *arguments, come):
        super().__init__(*arguments)
        self.come = come

    def _receiver(self):
        self.come()
        return super()._receiver()


@pytest.mark.parametrize("name", NAMES)
def test_a_taken_port_is_named_before_anything_starts(tmp_path, own, name):
    with (
        socket.create_server(("127.0.0.1", number(own, name))),
        pytest.raises(WatchError) as found,
        Watch(tmp_path, ports.free(), own),
    ):
        pass
    assert str(found.value) == refusal(own, name)
    assert not (tmp_path / "logs").exists()


@nobody.needs_root
@pytest.mark.parametrize("name", NAMES)
def test_another_user_who_comes_first_learns_no_password(tmp_path, own, name):
    with ExitStack() as stack:
        received = []

        def come():
            received.append(stack.enter_context(nobody.listens(number(own, name))))

        watch = Overtaken(tmp_path, ports.free(), own, come=come)
        with pytest.raises(WatchError) as found:
            stack.enter_context(watch)
        [ended] = received
        assert ended() == []
    assert str(found.value) == refusal(own, name)


@pytest.mark.parametrize("name", NAMES)
def test_another_program_of_ours_is_no_page_of_telemetry(tmp_path, own, name):
    """As an ordinary user can try: a second suite, or whatever else listens there."""
    with ExitStack() as stack:
        servers = []

        def come():
            servers.append(stack.enter_context(socket.create_server(("127.0.0.1", number(own, name)))))

        watch = Overtaken(tmp_path, ports.free(), own, come=come)
        with pytest.raises(WatchError) as found:
            stack.enter_context(watch)
        servers[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            servers[0].accept()
    assert str(found.value) == refusal(own, name)


def test_both_start_when_their_ports_are_free(tmp_path, own):
    with Watch(tmp_path, ports.free(), own) as watch:
        watch.tend()
    assert sorted(log.name for log in (tmp_path / "logs").iterdir()) == ["prometheus.log", "traces.log"]
