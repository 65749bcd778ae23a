"""Triton's port opens to the worker's certificate for it alone: whoever may call Triton runs code in it (review S2)."""

import grpc
import pytest
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from services.generation.triton import client
from tests.support import nobody, tls


async def index(server):
    """The code that Triton's repository index answers by, and of loading a model."""
    codes = set()
    for call in (server.get_model_repository_index, lambda **known: server.load_model("animatic", **known)):
        try:
            await call(client_timeout=10)
        except InferenceServerException as fault:
            codes.add(fault.status())
        else:
            codes.add("OK")
    await server.close()
    return codes


def pem(folder, name):
    return (folder / f"{name}.crt").read_bytes(), (folder / f"{name}.key").read_bytes()


async def test_it_opens_to_the_workers_certificate(triton_server):
    assert await index(client.connect(triton_server.address, triton_server.tls)) == {"OK"}


@pytest.mark.parametrize("shown", ["another Triton's worker", "the suite's worker", "the suite's operator", "its own"])
async def test_it_opens_to_no_other_certificate(triton_server, shown):
    suite = tls.home() / "certs"
    certificate, key = {
        "another Triton's worker": pem(suite / "triton", "worker"),
        "the suite's worker": pem(suite, "worker"),
        "the suite's operator": pem(suite, "operator"),
        "its own": pem(triton_server.triton.certificates, "triton"),
    }[shown]
    authority = triton_server.tls[0]
    assert await index(client.connect(triton_server.address, (authority, certificate, key))) == {
        "StatusCode.UNAVAILABLE"
    }


async def test_it_opens_to_nobody_without_a_certificate(triton_server):
    plain = InferenceServerClient(triton_server.address, channel_args=client.CHANNEL)
    assert await index(plain) == {"StatusCode.UNAVAILABLE"}
    bare = grpc.ssl_channel_credentials(triton_server.tls[0])
    known = InferenceServerClient(triton_server.address, creds=bare, channel_args=[*client.CHANNEL, *client.NAMED])
    assert await index(known) == {"StatusCode.UNAVAILABLE"}


async def test_a_worker_takes_no_other_server_for_its_triton(triton_server):
    _, certificate, key = triton_server.tls
    foreign = (tls.triton()[0], certificate, key)
    assert await index(client.connect(triton_server.address, foreign)) == {"StatusCode.UNAVAILABLE"}


@nobody.needs_root
def test_another_user_of_the_machine_loads_no_model_and_reads_no_file(triton_server, tmp_path):
    tmp_path.chmod(0o777)
    mark = tmp_path / "mark"
    authority = triton_server.tls[0].decode()
    found = nobody.asks("triton", triton_server.triton.port, authority, str(mark))
    assert found.keys() == {f"{way} {call}" for way in ("plain", "tls") for call in ("load", "index", "ready")}
    assert set(found.values()) == {"UNAVAILABLE"}, found
    assert not mark.exists()
    assert nobody.asks("files", str(triton_server.triton.certificates)) == []
