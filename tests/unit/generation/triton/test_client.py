"""The client against a real server that is absent, dies, or does not know the model."""

import asyncio
import os
import select
import signal

import pytest

from services.generation.triton import client
from services.generation.triton.client import Model, ModelGone, ModelUnavailable, RunTimedOut
from tests.support import tls
from tests.support.waiting import until
from tests.unit.generation.triton.jobs import LONG, SMALL, made


async def test_a_loaded_model_tells_its_contract_and_slots(connection):
    assert await client.describe(connection, "animatic") == Model("animatic", 1, 1)


@pytest.mark.parametrize(
    ("group", "instances"),
    [({}, 1), ({"count": 2}, 2), ({"count": 1, "gpus": [0, 1, 2]}, 3), ({"count": 2, "gpus": [0, 1]}, 4)],
)
def test_a_worker_has_a_slot_for_each_instance_on_each_gpu(group, instances):
    assert client._instances(group) == instances


async def test_a_model_that_is_not_there_is_unavailable(connection):
    with pytest.raises(ModelUnavailable):
        await client.describe(connection, "wan")
    with pytest.raises(ModelUnavailable):
        await made(connection, SMALL, model="wan")


async def test_a_server_that_is_not_there_is_unavailable():
    connected = client.connect("127.0.0.1:9", tls.triton())
    with pytest.raises(ModelUnavailable):
        await client.describe(connected, "animatic")
    with pytest.raises(ModelUnavailable):
        await made(connected, SMALL)
    await connected.close()


async def _harmed(connected, harm, seconds=60.0):
    """Runs a long job and does harm at its first step."""
    harmed = False
    async for _ in client.run(connected, "animatic", LONG, seconds=seconds):
        if not harmed:
            harmed = True
            await asyncio.to_thread(harm)


async def test_a_killed_model_is_gone_and_can_be_revived(fresh_triton):
    connected = client.connect(fresh_triton.address, fresh_triton.tls)
    [stub] = fresh_triton.model_processes()
    with pytest.raises(ModelGone) as gone:
        await _harmed(connected, lambda: os.kill(stub, signal.SIGKILL))
    assert gone.value.dead != gone.value.cut
    if gone.value.cut:
        await asyncio.to_thread(fresh_triton.mend)
        await connected.close()
        connected = client.connect(fresh_triton.address, fresh_triton.tls)
    else:
        await client.revive(connected, "animatic", seconds=30)
    assert fresh_triton.model_processes() != [stub]
    assert (await made(connected, SMALL))[0]
    await connected.close()


async def test_a_model_that_was_unloaded_and_not_loaded_again_is_restored(fresh_triton):
    connected = client.connect(fresh_triton.address, fresh_triton.tls)
    assert not await client.restore(connected, "animatic", seconds=30), "it is loaded"
    assert not await client.restore(connected, "wan", seconds=30), "the server has no such model"
    await connected.unload_model("animatic")
    with pytest.raises(ModelUnavailable):
        await client.describe(connected, "animatic")
    await until(lambda: client.restore(connected, "animatic", seconds=30), pause=0.01)  # it is being unloaded
    assert (await made(connected, SMALL))[0]
    await connected.close()


async def test_a_killed_server_is_gone_then_unavailable_then_back(fresh_triton):
    connected = client.connect(fresh_triton.address, fresh_triton.tls)
    with pytest.raises(ModelGone) as gone:
        await _harmed(connected, fresh_triton.process.kill)
    assert not gone.value.dead
    assert gone.value.cut, "a job that was on the server is suspected"
    await asyncio.to_thread(fresh_triton.process.end)
    # On a busy machine gRPC may take a job before it has read that its peer is gone: that one is in doubt.
    await until(lambda: _never_sent(connected), what="a job that never reached the server is not suspected: this")
    await asyncio.to_thread(fresh_triton.start)
    await connected.close()
    again = client.connect(fresh_triton.address, fresh_triton.tls)
    assert (await made(again, SMALL))[0]
    await again.close()


async def _never_sent(connected):
    with pytest.raises(ModelUnavailable) as unsent:
        await made(connected, SMALL)
    return not unsent.value.cut


def _ends(process: int, seconds: float) -> bool:
    """Whether a process that is not our child ends in time."""
    watched = os.pidfd_open(process)
    try:
        return bool(select.select([watched], [], [], seconds)[0])
    finally:
        os.close(watched)


async def test_a_model_does_not_outlive_its_killed_server(fresh_triton):
    [stub] = fresh_triton.model_processes()
    fresh_triton.process.kill()
    assert await asyncio.to_thread(_ends, stub, 10)


async def test_a_frozen_server_lets_the_job_end_by_its_deadline(fresh_triton):
    connected = client.connect(fresh_triton.address, fresh_triton.tls)
    with pytest.raises((RunTimedOut, ModelGone)):
        await _harmed(connected, fresh_triton.process.stop, seconds=2)
    fresh_triton.process.cont()
    assert (await made(connected, SMALL))[0]
    await connected.close()


async def test_a_fault_in_the_request_is_no_cancellation(connection, monkeypatch):
    def fault(*_):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(client, "_tensor", fault)
    with pytest.raises(ModelGone):
        await made(connection, SMALL)
