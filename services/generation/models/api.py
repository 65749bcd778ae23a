"""The RPCs of Models."""

from typing import Any

from filmgate.generation.v1 import models_pb2, models_pb2_grpc
from services.generation import errors
from services.generation.clients import Billing, Terms
from services.generation.models import catalog, store
from services.generation.models.domain import Capacity, Model
from services.runtime import pages
from services.runtime.caller import CALLER
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.jobs import EPOCH

ACCESS = {"ListModels": CALLER("video.read"), "GetModel": CALLER("video.read")}


class Models(models_pb2_grpc.ModelsServicer):
    """The models on offer: declared in the catalog, and once proven loaded."""

    def __init__(self, database: Database, billing: Billing, clock: Clock) -> None:
        self._database, self._billing, self._clock = database, billing, clock

    async def ListModels(self, request: models_pb2.ListModelsRequest, _: Any) -> models_pb2.ListModelsResponse:
        """Return a page of models, by id."""
        page = pages.page(request)
        after = page.after[1] if page.after else ""
        offered = [model for model in await self._offered() if model.id > after]
        listed, token = page.cut(offered, request, lambda model: (EPOCH, model.id))
        return models_pb2.ListModelsResponse(models=listed, next_page_token=token)

    async def GetModel(self, request: models_pb2.GetModelRequest, _: Any) -> models_pb2.Model:
        """Return one model."""
        for model in await self._offered():
            if model.id == request.id:
                return model
        raise errors.MODEL_UNKNOWN(model=request.id)

    async def _offered(self) -> list[models_pb2.Model]:
        declared = catalog.models()
        async with self._database.transaction() as session:
            capacities = await store.capacities(session, list(declared), self._clock.real_now())
        terms = await self._billing.terms()
        return [_model(declared[name], capacities[name], terms) for name in sorted(declared) if capacities[name].proven]


def _model(model: Model, capacity: Capacity, terms: Terms | None) -> models_pb2.Model:
    limits = models_pb2.ModelLimits(
        duration_seconds=model.duration_seconds,
        resolutions=model.resolutions,
        aspect_ratios=model.aspect_ratios,
        frame_rate=model.frame_rate,
        prompt_characters=model.prompt_characters,
        image_side_pixels=model.image_side_pixels,
        image_pixels=model.image_pixels,
        image_size_bytes=model.image_size_bytes,
        image_ratio=model.image_ratio,
    )
    return models_pb2.Model(
        name=f"models/{model.id}",
        id=model.id,
        display_name=model.display_name,
        description=model.description,
        kind=model.kind,
        text_to_video=model.text_to_video,
        image_to_video=model.image_to_video,
        camera_control=model.camera_control,
        negative_prompt=model.negative_prompt,
        limits=limits,
        price_from=terms.cheapest.get(model.id) if terms else None,
        capacity=capacity.state,
        license=model.license,
    )
