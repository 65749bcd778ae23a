"""`python -m deploy.protos` on a copy of the contracts: what it writes, and what it refuses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
KEYS = Path("protos/filmgate/auth/v1/keys.proto")
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
WHO = ("-c", "user.name=test", "-c", "user.email=test@example.org")


@pytest.fixture
def copy(tmp_path) -> Path:
    """The contracts, their tool and the services' policies in a repository of their own, with one tag."""
    for name in ("protos", "deploy", "services"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    for command in (["init", "-q"], ["add", "."], [*WHO, "commit", "-q", "-m", "first"], ["tag", "v0.1.0"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, env={**os.environ, **GIT})
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **GIT, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "deploy.protos", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


def change(folder: Path, old: str, new: str) -> None:
    text = (folder / KEYS).read_text()
    assert old in text
    (folder / KEYS).write_text(text.replace(old, new))


def test_it_writes_stubs_descriptors_and_routes_and_only_what_changed(copy):
    assert run(copy).returncode == 0
    stub, other = (copy / "gen/filmgate/auth/v1" / f"{noun}_pb2.py" for noun in ("keys", "tokens"))
    written = {path: path.stat().st_ino for path in (stub, other)}
    assert "UpdateKey" in (copy / "gen/envoy_routes.yaml").read_text()
    assert b"google/rpc/error_details.proto" in (copy / "gen/filmgate.pb").read_bytes()
    change(copy, "string last_four", "string last_letters")
    assert run(copy).returncode == 0
    assert stub.stat().st_ino != written[stub]
    assert other.stat().st_ino == written[other]


def test_what_a_deleted_contract_left_goes_with_it(copy):
    assert run(copy).returncode == 0
    (copy / "protos/filmgate/auth/v1/tokens.proto").unlink()
    assert run(copy).returncode == 0
    assert not list((copy / "gen").rglob("tokens_pb2*"))


def test_sound_contracts_pass(copy):
    done = run(copy, "lint")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("rpc ListKeys(", "rpc ListMyKeys(", 'RPC "ListKeys"'),
        ("string last_four = 6", "string last_four = 16", "last_four"),
        ("  // Returns one key.", "    //Returns one key.", "keys.proto"),
        ("string last_four", "string LastFour", "lower_snake_case"),
    ],
)
def test_what_breaks_a_promise_or_the_style_does_not(copy, old, new, words):
    change(copy, old, new)
    done = run(copy, "lint")
    assert done.returncode != 0
    assert words in done.stdout + done.stderr


def test_a_contract_that_protoc_refuses_stops_it_and_leaves_what_there_was(copy):
    assert run(copy).returncode == 0
    kept = (copy / "gen/filmgate.pb").read_bytes()
    change(copy, "string last_four", "strong last_four")
    assert run(copy).returncode != 0
    assert (copy / "gen/filmgate.pb").read_bytes() == kept


def test_a_published_method_without_the_edges_option_stops_it(copy):
    text = (copy / KEYS).read_text()
    start = text.index("    option (edge.v1.edge)")
    (copy / KEYS).write_text(text[:start] + text[text.index("    };\n", start) + len("    };\n") :])
    done = run(copy)
    assert done.returncode != 0
    assert "CreateKey must have both" in done.stderr
