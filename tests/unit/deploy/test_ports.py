"""A taken port is reported with the setting that changes it."""

import dataclasses
import socket

import pytest

from deploy.local import ports


@pytest.fixture
def taken():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_free_ports_have_no_faults():
    assert list(ports.faults(ports.free())) == []


def test_a_taken_port_names_its_setting(taken):
    found = list(ports.faults(dataclasses.replace(ports.free(), auth_health_port=taken)))
    assert found == [f"Port {taken} is taken by another program; set FILMGATE_AUTH_HEALTH_PORT to a free one."]


def test_one_port_for_two_listeners_is_reported():
    chosen = ports.free()
    (found,) = ports.faults(dataclasses.replace(chosen, triton_port=chosen.edge_port))
    assert "FILMGATE_TRITON_PORT and FILMGATE_EDGE_PORT" in found


def test_each_name_has_its_port():
    assert (ports.Ports().of("edge"), ports.Ports().of("triton"), ports.Ports().health("worker")) == (8080, 8120, 8116)
