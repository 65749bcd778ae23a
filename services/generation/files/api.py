"""The RPCs of Files: three for customers, three for media."""

from typing import Any

from google.protobuf import empty_pb2

from filmgate.generation.v1 import files_pb2, files_pb2_grpc
from services.generation import errors
from services.generation.files import domain, store
from services.generation.files.tables import FileRow
from services.generation.models import catalog
from services.generation.videos import store as videos
from services.runtime import caller, pages
from services.runtime.caller import CALLER, SERVICE
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.errors import NOT_FOUND, Failure

ACCESS = {
    "GetFile": CALLER("video.read"),
    "ListFiles": CALLER("video.read"),
    "DeleteFile": CALLER("video.write"),
    "BeginUpload": CALLER("video.write", "media"),
    "FinishUpload": SERVICE("media"),
    "LocateContent": CALLER("video.read", "media"),
}


class Files(files_pb2_grpc.FilesServicer):
    """The files of the caller's project. `input_days` is how long, and `most` how many, pictures the profile keeps."""

    def __init__(self, database: Database, clock: Clock, input_days: int, most: int) -> None:
        self._database, self._clock, self._input_days, self._most = database, clock, input_days, most

    async def GetFile(self, request: files_pb2.GetFileRequest, _: Any) -> files_pb2.File:
        """Return one file."""
        async with self._database.transaction() as session:
            row = await store.find(session, caller.current().project, request.id, self._clock.now())
        if row is None:
            raise _unknown(request.id)
        return _file(row)

    async def ListFiles(self, request: files_pb2.ListFilesRequest, _: Any) -> files_pb2.ListFilesResponse:
        """Return a page of files, newest first."""
        page = pages.page(request)
        async with self._database.transaction() as session:
            rows = await store.page_of(session, caller.current().project, self._clock.now(), page)
        rows, token = page.cut(rows, request, lambda row: (row.create_time, row.id))
        return files_pb2.ListFilesResponse(files=[_file(row) for row in rows], next_page_token=token)

    async def DeleteFile(self, request: files_pb2.DeleteFileRequest, _: Any) -> empty_pb2.Empty:
        """Delete a file for its owner now, and its bytes as soon as no open video needs them."""
        own = [FileRow.id == request.id, FileRow.project == caller.current().project, FileRow.state != "STAGING"]
        async with self._database.transaction() as session:
            if not await store.delete(session, own, self._clock.now()):
                raise _unknown(request.id)
        return empty_pb2.Empty()

    async def BeginUpload(self, request: files_pb2.BeginUploadRequest, _: Any) -> files_pb2.BeginUploadResponse:
        """Write the record of an upload, and answer where its bytes go and what the picture must keep to."""
        models = catalog.models().values()
        limit = min(domain.UPLOAD_LIMIT_BYTES, max(model.image_size_bytes for model in models))
        if request.size_bytes > limit:
            raise errors.UPLOAD_TOO_LARGE(limit=limit)
        who, now = caller.current(), self._clock.now()
        async with self._database.transaction() as session:
            if await store.count_pictures(session, who.project, now) >= self._most:
                raise errors.TOO_MANY_PICTURES(limit=self._most)
            row = await store.begin_upload(session, who, now)
        image = files_pb2.ImageLimits(
            side_pixels=min(model.image_side_pixels for model in models),
            pixels=max(model.image_pixels for model in models),
            ratio=max(model.image_ratio for model in models),
        )
        return files_pb2.BeginUploadResponse(id=row.id, object=row.object, limit_bytes=limit, image=image)

    async def FinishUpload(self, request: files_pb2.FinishUploadRequest, _: Any) -> files_pb2.File:
        """Make an upload READY with what media found, or remove its record. Both may be repeated.

        Raises NOT_FOUND for a record that is not, or no longer, one of an upload: media must leave its bytes then.
        """
        now = self._clock.now()
        async with self._database.transaction() as session:
            if not request.HasField("image"):
                if not await store.abandon_upload(session, request.id):
                    raise NOT_FOUND(resource=f"upload {request.id}")
                return files_pb2.File(id=request.id)
            image = request.image
            found = {name: getattr(image, name) for name in ("content_type", "size_bytes", "sha256", "width", "height")}
            kept = domain.input_expiry(now, self._input_days)
            row = await store.finish_upload(session, request.id, {**found, "expire_time": kept})
        if row is None:
            raise _unknown(request.id)
        return _file(row)

    async def LocateContent(self, request: files_pb2.LocateContentRequest, _: Any) -> files_pb2.Content:
        """Return where the bytes of a file, or of a video's output, lie."""
        project, now = caller.current().project, self._clock.now()
        async with self._database.transaction() as session:
            if not request.id.startswith("vid_"):
                row = await store.find(session, project, request.id, now)
                return _content(row, request.id)
            video = await videos.find(session, project, request.id)
            if video is None:
                raise NOT_FOUND(resource=f"video {request.id}")
            if video.output is None:
                raise errors.OUTPUT_NOT_READY(state=video.state)
            row = await store.find(session, project, video.output, now)
        if row is None:
            raise errors.OUTPUT_EXPIRED()
        return _content(row, request.id)


def _unknown(file_id: str) -> Failure:
    return NOT_FOUND(resource=f"file {file_id}")


def _file(row: FileRow) -> files_pb2.File:
    return files_pb2.File(
        name=f"files/{row.id}",
        id=row.id,
        state=row.state,
        kind=row.kind,
        content_type=row.content_type or "",
        size_bytes=row.size_bytes or 0,
        sha256=row.sha256 or "",
        width=row.width or 0,
        height=row.height or 0,
        create_time=row.create_time,
        expire_time=row.expire_time,
    )


def _content(row: FileRow | None, asked_id: str) -> files_pb2.Content:
    if row is None or row.state != "READY":
        raise _unknown(asked_id)
    content_type = row.content_type or "application/octet-stream"
    return files_pb2.Content(
        object=row.object,
        content_type=content_type,
        size_bytes=row.size_bytes or 0,
        sha256=row.sha256 or "",
        file_name=domain.file_name(asked_id, content_type),
        create_time=row.create_time,
    )
