"""The edge's configuration from the environment, as an init container writes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.envoy import envoy, upstreams
from deploy.envoy.__main__ import main
from deploy.local import certificates

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def home(tmp_path) -> Path:
    certificates.make(tmp_path / "home")
    return tmp_path / "home"


def run(home: Path, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command in an environment of its own."""
    folder.mkdir(exist_ok=True)
    own = {f"FILMGATE_{name.upper()}": value for name, value in settings.items()}
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
        "FILMGATE_HOME": str(home),
        **own,
    }
    command = [sys.executable, "-m", "deploy.envoy", str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_it_writes_a_sound_configuration_with_all_that_it_names(home, tmp_path):
    folder, certs = tmp_path / "run", home / "certs"
    settings = {
        "edge_tls_cert": str(certs / "edge.crt"), "edge_tls_key": str(certs / "edge.key"), "edge_port": "18443",
        "edge_cors_origins": "https://a.example, https://b.example", "media_address": "media:8105",
    }  # fmt: skip
    done = run(home, folder, **settings)
    assert done.returncode == 0, done.stderr
    checked = subprocess.run(envoy.validate(folder / "envoy.yaml"), capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "eprecated" not in checked.stderr
    listeners = {
        row["name"]: row
        for row in yaml.load((folder / "envoy.yaml").read_text(), yaml.CSafeLoader)["static_resources"]["listeners"]
    }
    ports = {
        name: row["address"]["socket_address"]["port_value"]
        for name, row in listeners.items()
        if "socket_address" in row.get("address", {})
    }
    assert ports == {"public": 18443, "health": 8110, "metrics": 8130}
    text = (folder / "envoy.yaml").read_text()
    assert text.count("max_heap_size_bytes: 805306368") == 1
    assert str(folder / "filmgate.pb") in text
    for name, kept in (("edge", certs), ("public", certs)):
        secret = yaml.safe_load((folder / f"secret-{name}.yaml").read_text())["resources"][0]
        assert secret["tls_certificate"]["watched_directory"] == {"path": str(kept)}
        assert (
            text.count(str(folder / f"secret-{name}.yaml")) == {"edge": len(upstreams.NAMES) + 1, "public": 1}[name]
        )  # media is two clusters
    assert "a\\.example" in text
    assert "b\\.example" in text


def test_with_the_self_made_ca_it_stays_on_loopback(home, tmp_path):
    done = run(home, tmp_path / "run", bind="0.0.0.0")
    assert done.returncode == 1
    assert "self-made CA" in done.stderr
    assert not (tmp_path / "run" / "envoy.yaml").exists()


def test_a_public_certificate_without_its_key_is_refused(home, tmp_path):
    done = run(home, tmp_path / "run", edge_tls_cert=str(home / "certs" / "edge.crt"))
    assert done.returncode == 1
    assert "go together" in done.stderr


def test_the_memory_is_a_setting_that_is_refused_where_it_is_too_small(home, tmp_path):
    assert run(home, tmp_path / "run", edge_memory_bytes="200000000").returncode == 0
    assert "max_heap_size_bytes: 200000000" in (tmp_path / "run" / "envoy.yaml").read_text()
    done = run(home, tmp_path / "other", edge_memory_bytes="1000")
    assert (done.returncode, done.stderr) == (1, "memory_bytes is below 67108864\n")


def test_a_wrong_setting_and_a_wrong_use_are_told(home, tmp_path):
    done = run(home, tmp_path / "run", edge_port="many")
    assert (done.returncode, done.stderr) == (1, "FILMGATE_EDGE_PORT: is not a valid int\n")
    assert main([]) == 2
