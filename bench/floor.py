"""The floor's upstream: a bare gRPC server with generation's certificate that answers GetVideo with an empty Video.

    python -m bench.floor <port> <folder of certificates>

Nothing of ours stands in it: no interceptor, no database. What a poll costs above it is what generation costs.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc

from filmgate.generation.v1 import videos_pb2, videos_pb2_grpc


class Empty(videos_pb2_grpc.VideosServicer):
    """Knows no video."""

    async def GetVideo(self, request: videos_pb2.GetVideoRequest, _: Any) -> videos_pb2.Video:
        """Return an empty video."""
        return videos_pb2.Video()


async def serve(port: int, certificates: Path) -> None:
    """Serve for ever, with mutual TLS as every service."""
    authority, certificate, key = (
        (certificates / name).read_bytes() for name in ("ca.crt", "generation.crt", "generation.key")
    )
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    videos_pb2_grpc.add_VideosServicer_to_server(Empty(), server)
    credentials = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
    server.add_secure_port(f"127.0.0.1:{port}", credentials)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
