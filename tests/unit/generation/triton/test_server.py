"""The embedded server: what it opens, what it leaves, what it says when it cannot start."""

import os
import socket
import sys
from pathlib import Path

import pytest

from deploy.local.triton import REPOSITORY, Triton, TritonError


def test_it_listens_on_loopback_only_and_for_grpc_only(triton_server):
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{triton_server.process.pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and int(words[1].split(":")[1], 16) == triton_server.triton.port:
                listening.append(words[1].split(":")[0])
    assert listening
    assert set(listening) <= {"0100007F", "0000000000000000FFFF00000100007F"}, "127.0.0.1, be it mapped"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", triton_server.triton.port)) == 0
    command = triton_server.triton.command()
    assert {"--allow-http=false", "--allow-metrics=false", "--model-control-mode=explicit"} <= set(command)


def test_nobody_else_may_read_what_a_model_works_on(triton_server):
    [model] = triton_server.model_processes()
    regions = [place for place in Path(f"/proc/{model}/fd").iterdir() if "/filmgate_" in os.readlink(place)]
    assert regions
    assert {place.stat().st_mode & 0o777 for place in regions} == {0o600}


def test_it_serves_the_one_model_repository(triton_server):
    assert f"--model-repository={REPOSITORY}" in triton_server.triton.command()
    assert (REPOSITORY / "animatic" / "1" / "model.py").is_file()


def test_without_its_environment_it_says_what_to_do(tmp_path):
    with pytest.raises(TritonError, match="make setup"):
        Triton(tmp_path, 1, tmp_path / "none").command()


def test_nothing_is_missing_here():
    assert Triton(Path("unused")).missing() == []


def test_a_missing_library_is_named(tmp_path):
    (tmp_path / "lib" / "python3.99" / "site-packages").mkdir(parents=True)
    assert Triton(tmp_path, 1, tmp_path).missing() == ["libpython3.99"]


def test_what_a_killed_server_left_in_shared_memory_is_swept(tmp_path):
    left = Path("/dev/shm") / f"{Triton(tmp_path, 1)._regions}left"  # noqa: S108
    left.write_bytes(b"x")
    Triton(tmp_path, 1).command()
    assert not left.exists()


def test_another_system_python_needs_a_stub_of_its_own(tmp_path):
    (tmp_path / "lib" / "python3.99" / "site-packages" / "pytriton" / "tritonserver").mkdir(parents=True)
    with pytest.raises(TritonError, match=r"3\.99"):
        Triton(tmp_path / "home", 1, tmp_path).command()


def test_a_libpython_that_the_wheel_carries_gives_way_to_the_systems(tmp_path):
    dotted = f"{sys.version_info[0]}.{sys.version_info[1]}"
    packages = tmp_path / "site" / "lib" / f"python{dotted}" / "site-packages"
    stub = packages / "pytriton" / "tritonserver" / "python_backend_stubs" / dotted / "triton_python_backend_stub"
    carried = packages / "nvidia_pytriton.libs" / f"libpython3-0123abcd.{sys.version_info[1]}.so.1.0"
    for place in (stub, carried):
        place.parent.mkdir(parents=True)
        place.write_bytes(b"the wheel's")
    (packages / "pytriton" / "tritonserver" / "backends" / "python").mkdir(parents=True)
    triton = Triton(tmp_path / "home", 1, tmp_path / "site")
    triton.command()
    first, second = triton.environment()["LD_LIBRARY_PATH"].split(":")
    assert (Path(first) / carried.name).resolve().name == f"libpython{dotted}.so.1.0"
    assert Path(second) == carried.parent
    copy = tmp_path / "home" / "triton" / "backends" / "python" / stub.name
    assert not copy.is_symlink(), "a link would be followed to the wheel's libraries beside it"
    assert copy.read_bytes() == b"the wheel's"
