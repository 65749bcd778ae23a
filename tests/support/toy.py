"""The toy service of the runtime's tests: its stubs, made from toy.proto at first import, a servicer and a room."""

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import google.api
import grpc_tools
from grpc_tools import protoc

from services.runtime import caller
from services.runtime.caller import CALLER, PUBLIC, SERVICE, STAFF
from services.runtime.server import ServiceRegistration


def _stubs() -> tuple[Any, Any]:
    here = Path(__file__).parent
    out = tempfile.mkdtemp(prefix="filmgate-test-toy-")
    includes = [here, here.parent.parent / "protos", Path(google.api.__path__[0]).parent.parent]
    includes.append(Path(grpc_tools.__path__[0]) / "_proto")
    command = ["protoc", *(f"-I{path}" for path in includes), f"--python_out={out}", f"--grpc_python_out={out}"]
    if protoc.main([*command, str(here / "toy.proto")]):
        raise RuntimeError("toy.proto does not compile")
    sys.path.insert(0, out)
    try:
        return importlib.import_module("toy_pb2"), importlib.import_module("toy_pb2_grpc")
    finally:
        sys.path.remove(out)


pb2, pb2_grpc = _stubs()

ACCESS = {
    "Make": CALLER("video.write", "media"),
    "Watch": CALLER("video.read"),
    "Collect": CALLER("video.write"),
    "Talk": CALLER("video.read"),
    "Settle": SERVICE("generation", "worker"),
    "Inspect": STAFF("operator"),
    "Look": PUBLIC,
}


class Toys(pb2_grpc.ToysServicer):  # type: ignore[name-defined]
    """Answers with what it was told; `act(request)` may do or raise anything first."""

    def __init__(self, act: Any = None) -> None:
        self._act = act

    async def _answer(self, request: Any) -> Any:
        if self._act:
            await self._act(request)
        serving = caller.call()
        assert serving is not None
        account = serving.caller.account if serving.caller else ""
        return pb2.Toy(
            text=request.text,
            request_id=request.request_id,
            peer=caller.peer(),
            account=account,
            seconds_left=caller.seconds_left() or -1,
        )

    async def Make(self, request: Any, _: Any) -> Any:
        return await self._answer(request)

    Settle = Inspect = Look = Make

    async def Watch(self, request: Any, _: Any) -> Any:
        for _number in range(3):
            yield await self._answer(request)

    async def Collect(self, requests: Any, _: Any) -> Any:
        answer = None
        async for request in requests:
            answer = await self._answer(request)
        return answer or pb2.Toy()

    async def Talk(self, requests: Any, _: Any) -> Any:
        async for request in requests:
            yield await self._answer(request)


def registration(act: Any = None) -> ServiceRegistration:
    """The toy's registration."""
    return ServiceRegistration(
        pb2.DESCRIPTOR.services_by_name["Toys"], pb2_grpc.add_ToysServicer_to_server, Toys(act), ACCESS
    )
