"""`POST /v1/files`: the record first, then the bytes, then a picture that was decoded; or nothing is left."""

import asyncio
import contextlib
import hashlib
import weakref
from pathlib import Path

import grpc
from aiohttp import web
from google.protobuf import json_format
from obstore.store import ObjectStore

from filmgate.generation.v1 import files_pb2
from services.generation.config import MediaSettings
from services.generation.files import domain, objects, scratch
from services.generation.media import bodies, pictures
from services.generation.media.generation import Records
from services.generation.media.turns import Charge, Turns
from services.runtime import caller, telemetry
from services.runtime.errors import Failure

log = telemetry.logger(__name__)


class Uploads:
    """Receives pictures. At most `uploads` at once are received, and `decoders` decoded and stored, by `Turns`."""

    def __init__(self, records: Records, store: ObjectStore, settings: MediaSettings) -> None:
        self._records, self._store, self._settings = records, store, settings
        self._receiving = asyncio.Semaphore(settings.uploads)
        self._shares: weakref.WeakValueDictionary[str, asyncio.Semaphore] = weakref.WeakValueDictionary()
        self._turns = Turns(settings.decoders, settings.uploads_per_organization, settings.decode_budget_seconds)

    async def upload(self, request: web.Request) -> web.Response:
        """Return the File of an uploaded picture. Cancelled when the client goes: then nothing is decoded or left."""
        bodies.announced(request, domain.UPLOAD_LIMIT_BYTES)
        # Before anything is waited for: the caller token lives 30 s, and a turn may come later.
        begun = await self._begin(None if bodies.is_form(request) else request.content_length)
        try:
            async with self._share(caller.current().organization), self._receiving:
                with scratch.folder() as folder:
                    file = await self._take(request, begun, folder / "upload")
        except BaseException:
            await asyncio.shield(self._undo(begun))
            raise
        body = json_format.MessageToJson(
            file, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
        )
        return web.Response(text=body, content_type="application/json")

    async def _begin(self, size_bytes: int | None) -> files_pb2.BeginUploadResponse:
        """Open the record. Where the client goes in the meantime the record may be there already: it is removed."""
        beginning = asyncio.ensure_future(self._records.begin(size_bytes))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            with contextlib.suppress(Failure):
                await asyncio.shield(self._undo(await beginning))
            raise

    def _share(self, organization: str) -> asyncio.Semaphore:
        """Return what bounds one organization, so that nobody's slow uploads keep the others waiting."""
        share = self._shares.get(organization)
        if share is None:
            share = self._shares[organization] = asyncio.Semaphore(self._settings.uploads_per_organization)
        return share

    async def _take(self, request: web.Request, begun: files_pb2.BeginUploadResponse, path: Path) -> files_pb2.File:
        """Receive, decode, store, finish. What is left when it fails is undone by `upload`."""
        await bodies.receive(request, path, begun.limit_bytes, self._settings)
        async with self._turns.turn(caller.current().organization) as charge:
            picture = await pictures.decode(path, begun.image, self._settings, charge)
            storing = asyncio.ensure_future(self._keep(begun, path, picture, charge))
            try:
                image = await asyncio.shield(storing)
            except asyncio.CancelledError:
                # A write that has begun ends although nobody waits for it: it would come after what undoes it.
                await asyncio.wait([storing])
                raise
        return await self._records.finish(begun.id, image)

    async def _keep(
        self, begun: files_pb2.BeginUploadResponse, path: Path, picture: pictures.Picture, charge: Charge
    ) -> files_pb2.UploadedImage:
        """Store the upload and its frame, and return what the record is to say of them."""
        frame = await pictures.frame(picture, charge)
        await objects.put(self._store, begun.object, path)
        await objects.put(self._store, domain.frame_object(begun.object), frame)
        return await asyncio.to_thread(_described, path, picture)

    async def _undo(self, begun: files_pb2.BeginUploadResponse) -> None:
        """Remove what an upload has left. What cannot be removed now is swept after 24 hours.

        The record first: it may be READY without our knowing. Then it is not removed, nor are its bytes.
        """
        try:
            await self._records.abandon(begun.id)
            await objects.remove(self._store, domain.objects_of("IMAGE", begun.object))
        except (grpc.aio.AioRpcError, Failure) as fault:
            log.warning("upload_not_undone", error=fault)


def _described(path: Path, picture: pictures.Picture) -> files_pb2.UploadedImage:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return files_pb2.UploadedImage(
        content_type=picture.content_type,
        size_bytes=path.stat().st_size,
        sha256=digest,
        width=picture.width,
        height=picture.height,
    )
