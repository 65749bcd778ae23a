"""What must hold when a round is over: asked of the databases, of the objects, and of what the customers were told.

Each check answers what breaks its rule, as sentences; an empty list is the only good answer.
"""

import asyncio
import hashlib
import random
import time
from pathlib import Path
from typing import Any

from deploy.local.client import money
from services.billing.wallets import invariants
from services.generation.files.objects import PARTIAL
from services.generation.labels import readback
from services.generation.worker.film import visible_label
from services.runtime import profile
from tests.faults.chaos.load import ENDED, Customer, Load, Order
from tests.faults.chaos.stage import Stage
from tests.faults.conftest import CHARGED, ORDER
from tests.support.books import Books
from tests.support.transitions import Unexplained

QUIET_SECONDS = 90.0
OPEN = {
    "generation": """
        SELECT id || ' is ' || state || coalesce(', settlement ' || settlement, '') FROM videos
        WHERE end_time IS NULL OR settlement = 'PENDING'
        UNION ALL SELECT key || ' is ' || state || ' of ' || worker || ', due in ' || due_time - now() || ', attempt '
          || attempt || ', ' || error FROM jobs
        WHERE end_time IS NULL""",
    "billing": """
        SELECT 'the hold of ' || video || ' is open' FROM holds WHERE state = 'HELD'
        UNION ALL SELECT key || ' is ' || state FROM jobs WHERE end_time IS NULL""",
    "auth": "SELECT key || ' is ' || state FROM jobs WHERE end_time IS NULL",
    "privacy": "SELECT key || ' is ' || state FROM jobs WHERE end_time IS NULL",
}
"""What may be there while something goes on, and must be gone soon: open videos, unsettled money, jobs and leases."""
RULES = {
    "a dead job that stands for no failed video": """
        SELECT key FROM jobs WHERE state = 'DEAD' AND NOT EXISTS (
          SELECT FROM videos WHERE id = split_part(key, ':', 2) AND state = 'FAILED' AND jobs.kind LIKE 'generate%')""",
    "an ended video whose end nobody was told: its one settle job is not DONE": """
        SELECT videos.id FROM videos LEFT JOIN jobs ON key = 'settle:' || videos.id
        WHERE videos.end_time IS NOT NULL AND jobs.state IS DISTINCT FROM 'DONE'""",
    "a change that has no number: queued, started, ended and settled are one each at least": """
        SELECT id FROM videos WHERE sequence < 3 + (start_time IS NOT NULL)::int""",
    "a made video without its published file": """
        SELECT videos.id FROM videos LEFT JOIN files ON files.id = videos.output
        WHERE videos.state = 'SUCCEEDED' AND files.state IS DISTINCT FROM 'READY'""",
    "a published film that no video was made by": """
        SELECT files.id FROM files LEFT JOIN videos ON videos.output = files.id
        WHERE files.video IS NOT NULL AND files.state = 'READY' AND videos.state IS DISTINCT FROM 'SUCCEEDED'""",
    "two videos of one request": """
        SELECT request_id FROM videos WHERE request_id <> '' GROUP BY project, request_id HAVING count(*) > 1""",
    "a request that is in progress for ever": "SELECT request_id FROM requests WHERE answer IS NULL",
    "a video that was never taken and has an end of one that was": """
        SELECT id FROM videos WHERE start_time IS NULL AND outcome IN ('SUCCEEDED', 'CANCELLED_RUNNING')""",
}
"""Of generation's database."""
FOLLOWED = """
    SELECT videos.id FROM videos JOIN jobs ON jobs.key = 'generate:' || videos.id
    WHERE videos.organization = $1 AND jobs.attempt <= 2 AND jobs.excused = 0"""


class Checks:
    """Everything that is checked after a round."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._rules = profile.load("default")

    async def all(self, load: Load, dice: random.Random) -> tuple[list[str], dict[str, dict[str, Any]]]:
        """Wait until nothing goes on any more, then check; returns the faults, and the round's videos by id."""
        books = Books(self._stage.suite)
        try:
            faults = await self._quiet(books)
            for rule, query in RULES.items():
                faults += [f"{rule}: {row[0]}" for row in await books.rows("generation", query)]
            for rule, query in invariants.RULES.items():
                faults += [f"{rule}: {row[0]}" for row in await books.rows("billing", query)]
            videos = {row["id"]: dict(row) for row in await books.rows("generation", "SELECT * FROM videos")}
            holds = {row["video"]: dict(row) for row in await books.rows("billing", "SELECT * FROM holds")}
            faults += charges(videos, holds)
            faults += [fault for order in load.orders for fault in view(order, videos)]
            mine = {order.video: order for order in load.orders if order.video in videos}
            made = {id_: order for id_, order in mine.items() if videos[id_]["state"] == "SUCCEEDED"}
            faults += await self._films(books, made, dice)
            faults += await self._objects(books)
            for customer in load.customers:
                faults += await self._wallet(books, customer)
                faults += await self._transitions(books, customer)
            return faults, {id_: row for id_, row in videos.items() if id_ in mine}
        finally:
            await books.close()

    async def _quiet(self, books: Books) -> list[str]:
        """Wait until all has ended; returns what has not within QUIET_SECONDS."""
        deadline = time.monotonic() + QUIET_SECONDS
        while True:
            left = [row[0] for base, query in OPEN.items() for row in await books.rows(base, query)]
            if not left or time.monotonic() > deadline:
                return [f"after {QUIET_SECONDS:g} s still: {row}" for row in left]
            await asyncio.sleep(0.1)

    async def _films(self, books: Books, made: dict[str, Order], dice: random.Random) -> list[str]:
        """Each customer can load their films; the bytes are those whose labels were read back; one proves it anew."""
        faults, again = [], dice.choice(sorted(made)) if made else ""
        for id_, order in made.items():
            row = (await books.rows("generation", "SELECT * FROM files WHERE video = $1 AND state = 'READY'", id_))[0]
            film = self._stage.home / "run" / "film.mp4"
            await order.customer.client.download(f"/v1/videos/{id_}/content", film)
            if hashlib.sha256(film.read_bytes()).hexdigest() != row["sha256"]:
                faults.append(f"the film of {id_} has other bytes than were published")
            if not row["aigc"] or not row["visible_seconds"]:
                faults.append(f"the film of {id_} was published without its labels")
            if id_ == again:
                faults += await asyncio.to_thread(self._labels, id_, film)
            film.unlink()
        return faults

    async def _objects(self, books: Books) -> list[str]:
        """Every object belongs to a row, which its retention and erasure go by; half ones (`...#1`) are swept."""
        named = {row["object"] for row in await books.rows("generation", "SELECT object FROM files")}
        place = self._stage.disk.folder
        found = {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
        whole = {key for key in found if not PARTIAL.fullmatch(key)}
        return [f"an object that no row names: {key}" for key in whole if key.removesuffix(".frame.jpg") not in named]

    async def _wallet(self, books: Books, customer: Customer) -> list[str]:
        """What customers see of their money is what the books say."""
        seen = await customer.client.call("GET", "/v1/wallet")
        query = "SELECT available FROM wallets WHERE organization = $1"
        there = await books.value("billing", query, customer.organization)
        shown = (money(seen["available"]), money(seen["held"]), seen.get("open_videos", 0))
        due = (money({**seen["available"], **_amount(there)}), money({**seen["held"], **_amount(0)}), 0)
        return [] if shown == due else [f"{customer.organization} sees {shown}, and has {due}"]

    async def _transitions(self, books: Books, customer: Customer) -> list[str]:
        """Every transaction that was committed is a step of the protocol's model, and all together one of its ways.

        Each video once, and those that were begun more than twice, or excused, not at all: with each attempt more that
        may still be frozen somewhere the ways multiply, and three cost half a minute.
        """
        ids = {row[0] for row in await books.rows("generation", FOLLOWED, customer.organization)} - self._stage.followed
        self._stage.followed |= ids
        try:
            await self._stage.recorder.check(customer.organization, ids)
        except Unexplained as fault:
            return [f"no way of the model: {fault}"]
        return []

    def _labels(self, video: str, film: Path) -> list[str]:
        label = visible_label(self._rules.labels, self._rules.place.locale, ORDER["duration_seconds"])
        report = readback.read(film, label)
        fine = report.visible and report.aigc_count == 1
        return [] if fine else [f"the film of {video} does not bear its labels: {report}"]


def _amount(micros: object) -> dict[str, int]:
    units, rest = divmod(int(str(micros)), 1_000_000)
    return {"units": units, "nanos": rest * 1000}


def charges(videos: dict[str, dict[str, Any]], holds: dict[str, dict[str, Any]]) -> list[str]:
    """Each video's charge by the outcome table, once; what was never admitted costs nothing. Both by video id."""
    faults = []
    for id_, video in videos.items():
        if (hold := holds.get(id_)) is None:
            faults.append(f"{id_} was admitted without a hold")
            continue
        due = hold["amount"] * CHARGED.get(video["outcome"], 0) // 100
        settlement = "CAPTURED" if due else "RELEASED"
        if (hold["charged"], hold["state"]) != (due, settlement):
            faults.append(f"{id_}, {video['outcome']}: charged {hold['charged']} and {hold['state']}, due {due}")
        if (video["price_micros"], video["settlement"]) != (due, settlement):
            faults.append(f"{id_} shows {video['price_micros']} and {video['settlement']}, due {due}")
    for id_ in holds.keys() - videos.keys():
        if (holds[id_]["state"], holds[id_]["charged"]) != ("RELEASED", 0):
            faults.append(f"{id_} was not admitted, and its hold is {holds[id_]['state']}")
    return faults


def view(order: Order, videos: dict[str, dict[str, Any]]) -> list[str]:
    """Whether what the customer was told is what is; `videos` are all rows by id."""
    faults = []
    if len(set(order.answers)) > 1:
        faults.append(f"one key was answered by several videos: {order.answers}")
    rows = [row for row in videos.values() if row["request_id"] == order.key]
    if order.video and [row["id"] for row in rows] != [order.video]:
        faults.append(f"{order.video} was answered, and does not exist: {[row['id'] for row in rows]}")
    if order.refusals and rows:
        faults.append(f"an order was refused by {order.refusals} and left {rows[0]['id']}")
    if order.seen.get("state") in ENDED and rows:
        seen = (order.seen["state"], order.seen.get("settlement"))
        if seen != (rows[0]["state"], rows[0]["settlement"]):
            faults.append(f"{order.video} was shown as {seen}, and is {rows[0]['state']} and {rows[0]['settlement']}")
    if order.cancelled and rows and rows[0]["state"] != "CANCELLED":
        faults.append(f"{order.video} was cancelled by its owner, and is {rows[0]['state']}")
    return faults
