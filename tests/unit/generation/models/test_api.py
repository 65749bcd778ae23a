"""The models as a developer sees them."""

import grpc
import pytest

from filmgate.generation.v1 import models_pb2, videos_pb2
from services.generation.models import catalog, store
from services.generation.models.tables import ReportRow
from tests.support import rpc

Capacity = models_pb2.Model.Capacity


async def listed(house, **fields):
    return await house.models.ListModels(models_pb2.ListModelsRequest(**fields), metadata=house.mine)


async def test_the_list_says_what_a_model_is_and_costs(house):
    [model] = (await listed(house)).models
    assert (model.name, model.id, model.kind) == ("models/animatic", "animatic", models_pb2.Model.PREVIEW)
    assert (model.price_from.currency_code, model.price_from.nanos) == ("CNY", 50_000_000)
    assert Capacity.Name(model.capacity) == "READY"
    assert list(model.limits.resolutions) == ["480p", "720p", "1080p"]
    assert model.license
    assert await house.models.GetModel(models_pb2.GetModelRequest(id="animatic"), metadata=house.mine) == model


async def test_a_model_that_was_never_loaded_is_not_on_offer(house):
    async with house.database.transaction() as session:
        await session.execute(store.sa.text("DELETE FROM models"))
        await session.execute(store.sa.text("DELETE FROM model_reports"))
        await store.report(session, "animatic", "worker-1", 0, house.clock.now())
    assert not (await listed(house)).models
    async with rpc.refused(grpc.StatusCode.NOT_FOUND, "MODEL_UNKNOWN"):
        await house.create()
    await house.load_model()
    assert (await listed(house)).models


@pytest.mark.parametrize("name", ["sora", "x" * 300, "models/animatic"])
async def test_an_unknown_model_is_not_found(house, name):
    async with rpc.refused(grpc.StatusCode.NOT_FOUND, "MODEL_UNKNOWN"):
        await house.models.GetModel(models_pb2.GetModelRequest(id=name), metadata=house.mine)


async def test_capacity_falls_from_ready_to_zero_to_down_and_rises_again(house):
    seen = []
    for seconds in (0, 16, 45):
        house.clock.advance(seconds)
        seen.append(Capacity.Name((await listed(house)).models[0].capacity))
    await house.load_model(0)
    seen.append(Capacity.Name((await listed(house)).models[0].capacity))
    await house.load_model(2)
    seen.append(Capacity.Name((await listed(house)).models[0].capacity))
    assert seen == ["READY", "ZERO", "DOWN", "WARMING", "READY"]


async def test_a_business_time_that_jumps_makes_no_worker_stale(house):
    """Reports are signs of life, by the host's clock: an order right after the jump finds its model."""
    await house.load_model()
    house.clock.jump(days=40)
    assert Capacity.Name((await listed(house)).models[0].capacity) == "READY"
    assert (await house.create()).id


async def test_a_drained_worker_is_forgotten_at_once(house):
    async with house.database.transaction() as session:
        await store.retire(session, "worker-1")
        assert (await store.capacity(session, "animatic", house.clock.now())).state == "ZERO"
    house.clock.advance(4000)
    await house.load_model()
    house.clock.advance(4000)
    async with house.database.transaction() as session:
        await store.sweep_reports(session, house.clock.now())
    assert await house.rows(ReportRow) == []


async def test_pages_end(house):
    first = await listed(house, page_size=1)
    assert not first.next_page_token


async def test_without_billing_the_price_is_left_out_and_the_list_is_answered(house):
    await house.cashier.stop()
    [model] = (await listed(house)).models
    assert not model.HasField("price_from")


@pytest.mark.promise("SILICON-U4.3c")
async def test_each_model_bears_its_license_and_a_call_beyond_its_limits_is_refused(house):
    [model] = (await listed(house)).models
    beyond = {"duration_seconds": max(model.limits.duration_seconds) + 1, "resolution": "2160p", "aspect_ratio": "3:1"}
    for field, value in beyond.items():
        async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED") as found:
            await house.create(**{field: value})
        assert found[0].metadata["field"] == field
    for size, reason in (
        ((299, 400), "IMAGE_TOO_SMALL"),
        ((300, 1300), "IMAGE_RATIO"),
        ((10_000, 5_001), "IMAGE_TOO_LARGE"),
    ):
        async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT, reason):
            await house.create(image=await house.picture(*size))
    async with house.database.transaction() as session:
        for name in catalog.models():
            await store.report(session, name, "worker-1", 1, house.clock.now())
    camera = videos_pb2.CameraControl(zoom=1)
    for reason, fields in (
        ("FIELD_INVALID", {"model": "wan", "prompt": "x" * 501}),
        ("FIELD_INVALID", {"model": "wan", "negative_prompt": "x" * 501}),
        ("PARAMETER_UNSUPPORTED", {"model": "wan", "image": await house.picture()}),
        ("PARAMETER_UNSUPPORTED", {"model": "wan", "camera_control": camera}),
        ("PARAMETER_UNSUPPORTED", {"model": "animatic", "negative_prompt": "rain"}),
        ("FIELD_REQUIRED", {"model": "wan-image", "prompt": "without a picture"}),
    ):
        async with rpc.refused(grpc.StatusCode.INVALID_ARGUMENT, reason):
            await house.create(**fields)
    offered = (await listed(house)).models
    shown = [await house.models.GetModel(models_pb2.GetModelRequest(id=row.id), metadata=house.mine) for row in offered]
    for found in (offered, shown):
        assert {row.id: row.license for row in found} == dict.fromkeys(catalog.models(), "Apache-2.0")
