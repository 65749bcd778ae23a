"""`make demo`: one video from registration to MP4, made as an outside client on Envoy's port only."""

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.local import config, picture
from deploy.local.client import JSON, Client, Refused, money, new_phone
from services.generation.labels import readback
from services.generation.worker.film import visible_label
from services.runtime import profile

PROMPT = "A lighthouse at dusk, slow zoom in"
BAR = 32


@dataclass
class Story:
    """What the demo tells: each step with its time."""

    steps: list[tuple[str, float]] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Print the title, and note how long the block took."""
        began = time.perf_counter()
        print(f"\n> {title}", flush=True)
        yield
        self.steps.append((title, time.perf_counter() - began))

    def times(self) -> None:
        """Print how long each step took."""
        print("\nTimes")
        for title, seconds in [*self.steps, ("In all", sum(seconds for _, seconds in self.steps))]:
            print(f"  {title:<44} {seconds:6.2f} s")


async def main(url: str, outbox: Path, image: str = "", prompt: str = "") -> int:
    """Tell the whole story on a running suite; returns the exit status. `image` is a path, or empty for our own."""
    story, wish = Story(), prompt or PROMPT
    try:
        chosen = Path(image).read_bytes() if image else picture.lighthouse()
    except OSError as fault:
        print(f"The picture cannot be read: {fault}", file=sys.stderr)
        return 2
    try:
        async with Client(url, outbox) as client:
            await _sign_up(client, story)
            video = await _make(client, story, chosen, wish)
            return await _show(client, story, video, outbox.parent / "demo")
    except Refused as refusal:
        print(f"\nRefused: {refusal}", file=sys.stderr)
        return 1
    except (httpx.HTTPError, TimeoutError) as fault:
        print(f"\nThere was no answer: {fault or type(fault).__name__}", file=sys.stderr)
        return 1


async def _sign_up(client: Client, story: Story) -> None:
    phone = new_phone()
    with story.step(f"Register {phone} with a code, and declare age"):
        made = await client.register(phone, display_name="Demo")
        print(f"  account {made['account']['id']}, organization {made['organization']['id']}")
    with story.step("Accept the policies in force"):
        for receipt in await client.accept_policies():
            print(f"  {receipt['kind']} version {receipt['version']}: receipt {receipt['id']}")
    with story.step("Log in, and make an API key"):
        await client.log_in(phone)
        key = await client.make_key("demo")
        print(f"  {key['prefix']}...{key['last_four']} may {', '.join(key['scopes'])}")
    with story.step("Look into the wallet"):
        _print_wallet(await client.call("GET", "/v1/wallet"))


def _print_wallet(wallet: JSON) -> None:
    print(f"  available {money(wallet['available'])}, held {money(wallet['held'])}")
    for lot in wallet["lots"]:
        print(f"  {lot['kind'].lower()} lot {money(lot['granted'])}, until {lot.get('expire_time', 'ever')}")


async def _make(client: Client, story: Story, chosen: bytes, wish: str) -> JSON:
    with story.step("Upload the picture"):
        uploaded = await client.upload(chosen)
        print(f"  {uploaded['id']}: {uploaded['content_type']}, {uploaded['width']}x{uploaded['height']}")
    order = {"model": "animatic", "prompt": wish, "image": uploaded["id"], "camera_control": {"zoom": 4}}
    with story.step("Ask what it would cost"):
        estimate = await client.call("POST", "/v1/videos:estimate", order)
        print(f"  {money(estimate['price'])}, ready about {estimate['end_time']}")
    with story.step("Make the video"):
        video = await client.call("POST", "/v1/videos", order, idempotency_key=f"demo-{uploaded['id']}")
        print(f"  {video['id']}: held {money(video['quote'])}")
        return await _follow(client, video)


async def _follow(client: Client, video: JSON) -> JSON:
    async for event in client.watch(video["id"]):
        video = event.get("video") or video
        done = int(video["progress_percent"])
        stage = video["stage"] if video["state"] == "RUNNING" else video["state"]
        bar = "#" * (done * BAR // 100)
        print(f"\r  [{bar:<{BAR}}] {done:3d} %  {stage.lower():<12}", end="", flush=True)
    print()
    return video


async def _show(client: Client, story: Story, video: JSON, folder: Path) -> int:
    if video["state"] != "SUCCEEDED":
        print(f"  The video {video['state'].lower()}: {video.get('error', {}).get('message', '')}")
        return 1
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / f"{video['id']}.mp4"
    with story.step("Download the MP4, and read its labels back"):
        size = await client.download(f"/v1/videos/{video['id']}/content", target)
        _print_labels(target, float(video["parameters"]["duration_seconds"]))
    with story.step("Look into the wallet again"):
        _print_wallet(await client.call("GET", "/v1/wallet"))
        listed = await client.call("GET", "/v1/wallet/transactions")
        for row in listed["transactions"]:
            print(f"  {money(row['amount']):>12}  {row['description']}")
    story.times()
    print(f"\nIt cost {money(video['price'])} ({video['settlement'].lower()}). The video: {target} ({size:,} bytes)")
    return 0


def _print_labels(target: Path, seconds: float) -> None:
    rules = profile.load(config.profile())
    report = readback.read(target, visible_label(rules.labels, rules.place.locale, seconds))
    print(f"  {report.codec}, {report.width}x{report.height}, {report.duration_seconds:.2f} s")
    print(f"  visible label: {report.visible_seconds:.2f} s, ink {report.visible_ink_percent:.1f} % of the short side")
    print(f"  AIGC metadata: {report.aigc}")
