"""Media's only door to the generation API: the records of uploads and the places of content."""

import grpc

from filmgate.generation.v1 import files_pb2, files_pb2_grpc
from services.generation.media import refusals
from services.runtime import caller, channels


class Records:
    """Calls Files with the token of the caller that is being served. Raises its refusals as failures."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = files_pb2_grpc.FilesStub(channel)

    async def begin(self, size_bytes: int | None) -> files_pb2.BeginUploadResponse:
        """Open the record of an upload before its body is read."""
        request = files_pb2.BeginUploadRequest(size_bytes=size_bytes)
        try:
            return await self._stub.BeginUpload(request, metadata=channels.as_caller(caller.token()))
        except grpc.aio.AioRpcError as error:
            raise refusals.of(error) from error

    async def finish(self, file_id: str, image: files_pb2.UploadedImage) -> files_pb2.File:
        """Make an upload READY."""
        try:
            return await self._stub.FinishUpload(files_pb2.FinishUploadRequest(id=file_id, image=image))
        except grpc.aio.AioRpcError as error:
            raise refusals.of(error) from error

    async def abandon(self, file_id: str) -> None:
        """Remove the record of an upload that came to nothing.

        Raises grpc.aio.AioRpcError, with NOT_FOUND when the upload is READY and so keeps its bytes.
        """
        await self._stub.FinishUpload(files_pb2.FinishUploadRequest(id=file_id))

    async def locate(self, resource_id: str) -> files_pb2.Content:
        """Return where the content of a file or video lies."""
        request = files_pb2.LocateContentRequest(id=resource_id)
        try:
            return await self._stub.LocateContent(request, metadata=channels.as_caller(caller.token()))
        except grpc.aio.AioRpcError as error:
            raise refusals.of(error) from error
