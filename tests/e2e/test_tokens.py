"""What media, once taken over, can do with the caller tokens that it was brought (S10): tried with its certificate."""

import grpc
import pytest
import yaml
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc

from filmgate.generation.v1 import files_pb2, files_pb2_grpc, videos_pb2, videos_pb2_grpc
from services.runtime import channels, errors
from tests.support.edge import DESCRIPTORS
from tests.support.operators import door

ROUTES = yaml.safe_load(DESCRIPTORS.with_name("envoy_routes.yaml").read_text())["routes"]
ORDER = videos_pb2.CreateVideoRequest(model="animatic", prompt="a lighthouse", request_id="stolen")


async def token(suite, credential: str, verb: str, name: str) -> str:
    """The caller token that Check answers for a route of the edge, asked with the edge's certificate."""
    found = (
        row for row in ROUTES if row["name"] == name and row["match"]["headers"][0]["string_match"]["exact"] == verb
    )
    settings = next(found)["typed_per_filter_config"]["envoy.filters.http.ext_authz"]["check_settings"]
    asked = external_auth_pb2.CheckRequest()
    asked.attributes.context_extensions.update(settings["context_extensions"])
    asked.attributes.request.http.method = verb
    asked.attributes.request.http.headers["authorization"] = f"Bearer {credential}"
    async with door(suite, "auth", "edge") as channel:
        answer = await external_auth_pb2_grpc.AuthorizationStub(channel).Check(asked, timeout=30)
    return next(row.header.value for row in answer.ok_response.headers if row.header.key == "x-filmgate-caller")


async def reason(call) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return errors.of(refused.value).reason


async def test_a_token_that_media_was_brought_orders_reads_and_deletes_nothing(suite, customer, books):
    video = (await customer.call("POST", "/v1/videos", {"model": "animatic", "prompt": "a lighthouse"}))["id"]
    before = await books.value(
        "generation", "SELECT count(*) FROM videos WHERE project = $1", customer.made["project"]["id"]
    )
    brought = {
        "download": await token(suite, customer.credential, "GET", "filmgate.generation.v1.Videos/DownloadVideo"),
        "upload": await token(suite, customer.credential, "POST", "filmgate.generation.v1.Files/UploadFile"),
    }
    async with door(suite, "generation", "media") as channel:
        videos, files = videos_pb2_grpc.VideosStub(channel), files_pb2_grpc.FilesStub(channel)
        for text in brought.values():
            mine = {"metadata": channels.as_caller(text), "timeout": 30}
            assert await reason(videos.CreateVideo(ORDER, **mine)) == "PEER_NOT_ALLOWED"
            assert await reason(videos.GetVideo(videos_pb2.GetVideoRequest(id=video), **mine)) == "PEER_NOT_ALLOWED"
            assert await reason(files.DeleteFile(files_pb2.DeleteFileRequest(id="fil_x"), **mine)) == "PEER_NOT_ALLOWED"
        mine = {name: {"metadata": channels.as_caller(text), "timeout": 30} for name, text in brought.items()}
        locate = files_pb2.LocateContentRequest(id="vid_unknown")
        assert await reason(files.LocateContent(locate, **mine["download"])) == "NOT_FOUND", "this is what it is for"
        assert await reason(files.LocateContent(locate, **mine["upload"])) == "SCOPE_MISSING"
        begin = files_pb2.BeginUploadRequest(size_bytes=10)
        assert await reason(files.BeginUpload(begin, **mine["download"])) == "SCOPE_MISSING"
    async with door(suite, "generation", "edge") as channel:
        videos = videos_pb2_grpc.VideosStub(channel)
        mine = {"metadata": channels.as_caller(brought["download"]), "timeout": 30}
        assert await reason(videos.CreateVideo(ORDER, **mine)) == "SCOPE_MISSING"
    after = await books.value(
        "generation", "SELECT count(*) FROM videos WHERE project = $1", customer.made["project"]["id"]
    )
    assert after == before
