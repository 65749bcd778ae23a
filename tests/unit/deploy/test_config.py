"""The embedded suite faces loopback only, and hands out no more than a process needs."""

import pytest

from deploy.local import config
from deploy.local.ports import Ports

URLS = {name: (f"owner of {base}", f"service of {base}") for name, base in config.DATABASE_OF.items()}


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.0.0.7", "::1"])
def test_loopback_is_allowed(bind):
    assert config.refuse_outside(bind) is None


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "10.0.0.7", "203.0.113.9", "localhost", "edge.example.com", ""])
def test_every_other_address_is_refused_with_the_switches_that_forbid_it(bind):
    said = config.refuse_outside(bind)
    for switch in ("self-made CA", "file outbox", "signing key", "trial credit"):
        assert switch in said


def test_processes_are_bound_to_loopback_whatever_the_starter_has(tmp_path, monkeypatch):
    monkeypatch.setenv("FILMGATE_BIND", "0.0.0.0")
    assert config.environment("auth", tmp_path, Ports(), URLS)["FILMGATE_BIND"] == "127.0.0.1"


def test_only_migrate_gets_the_owners_url(tmp_path):
    assert "FILMGATE_OWNER_DATABASE_URL" not in config.environment("billing", tmp_path, Ports(), URLS)
    owner = config.environment("billing", tmp_path, Ports(), URLS, owner=True)
    assert owner["FILMGATE_OWNER_DATABASE_URL"] == "owner of billing"


def test_worker_shares_generations_database_and_has_its_own_certificate_and_health_port(tmp_path):
    found = config.environment("worker", tmp_path, Ports(), URLS)
    assert found["FILMGATE_DATABASE_URL"] == "service of generation"
    assert found["FILMGATE_TLS_KEY"] == str(tmp_path / "certs" / "worker.key")
    assert found["FILMGATE_HEALTH_PORT"] == "8116"


def test_media_and_triton_get_no_database(tmp_path):
    for name in ("media", "triton", "envoy"):
        assert not [key for key in config.environment(name, tmp_path, Ports(), URLS) if "DATABASE" in key]


def test_proxies_of_the_person_do_not_reach_the_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    monkeypatch.setenv("FILMGATE_LEASE_SECONDS", "4")
    found = config.environment("auth", tmp_path, Ports(), URLS)
    assert "http_proxy" not in found
    assert found["FILMGATE_LEASE_SECONDS"] == "4"


def test_sealing_keys_stand_outside_the_home(tmp_path):
    assert config.keys_folder(tmp_path / ".filmgate") == tmp_path / ".filmgate-keys"
