"""What LiteLLM's proxy forwards to: a video API that answers at once. `python -m bench.peers.upstream <port>`."""

import itertools
import sys
import time

from aiohttp import web

_numbers = itertools.count(1)


def video(video_id: str) -> web.Response:
    """Return a video as OpenAI's API writes it."""
    body = {"id": video_id, "object": "video", "model": "sora-2", "status": "queued", "progress": 0}
    return web.json_response({**body, "created_at": int(time.time()), "size": "1280x720", "seconds": "4"})


async def create(request: web.Request) -> web.Response:
    """Take an order."""
    await request.read()
    return video(f"video_{next(_numbers)}")


async def get(request: web.Request) -> web.Response:
    """Tell of an order."""
    return video(request.match_info["id"])


if __name__ == "__main__":
    application = web.Application()
    application.add_routes([web.post("/v1/videos", create), web.get("/v1/videos/{id}", get)])
    application.add_routes([web.post("/videos", create), web.get("/videos/{id}", get)])
    web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
