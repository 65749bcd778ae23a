"""The checks of the rounds see what they are there for: each one fails when its rule is broken."""

import pytest
import sqlalchemy as sa

from services.generation.files import store as files
from services.generation.videos import store as videos
from services.runtime import jobs
from tests.faults.chaos import checks
from tests.faults.chaos.load import Order
from tests.support.generation import MADE
from tests.unit.generation.worker.studio import Studio

BROKEN = {
    "a dead job that stands for no failed video": "UPDATE jobs SET state = 'DEAD' WHERE kind = 'settle'",
    "an ended video whose end nobody was told: its one settle job is not DONE": """
        DELETE FROM jobs WHERE kind = 'settle'""",
    "a change that has no number: queued, started, ended and settled are one each at least": """
        UPDATE videos SET sequence = 3""",
    "a made video without its published file": "UPDATE files SET state = 'STAGING'",
    "a published film that no video was made by": "UPDATE videos SET state = 'FAILED'",
    "two videos of one request": "UPDATE videos SET request_id = 'one'",
    "a request that is in progress for ever": """
        INSERT INTO requests VALUES ('prj', 'CreateVideo', 'one', '', NULL, now())""",
    "a video that was never taken and has an end of one that was": "UPDATE videos SET start_time = NULL",
}
OPEN = {
    "RUNNING of": "UPDATE jobs SET state = 'RUNNING', end_time = NULL WHERE kind = 'settle'",
    "settlement PENDING": "UPDATE videos SET settlement = 'PENDING', price_micros = NULL",
    "is RUNNING": """
        UPDATE videos SET end_time = NULL, settlement = NULL, outcome = NULL, output = NULL, state = 'RUNNING'""",
}
ROW = {"outcome": "SUCCEEDED", "price_micros": 50, "settlement": "CAPTURED"}
HOLD = {"amount": 50, "charged": 50, "state": "CAPTURED"}
SEEN = {"state": "SUCCEEDED", "settlement": "CAPTURED"}


@pytest.fixture
async def studio(postgres, clock):
    """Two videos that were made and paid for, as a sound round leaves them."""
    async with postgres.database("generation") as database:
        studio = Studio(database, clock, None, None, None)
        for _ in range(2):
            await _made(studio, await studio.order())
        yield studio


async def _made(studio: Studio, video_id: str) -> None:
    now, kinds = studio.clock.now(), [videos.generating("animatic"), videos.SETTLE]
    async with studio.database.transaction() as session:
        job = await jobs.claim(session, kinds[:1], "worker", studio.clock, 30)
        video = await videos.start(session, video_id, now, job.attempt)
        staged = await files.stage_output(session, video, now)
        await files.publish_output(session, staged.id, MADE, now)
        await videos.end(session, video_id, "SUCCEEDED", "SUCCEEDED", now=now, output=staged.id)
        await jobs.finish(session, job)
        job = await jobs.claim(session, kinds[1:], "worker", studio.clock, 30)
        await videos.settled(session, video_id, "CAPTURED", 50)
        await jobs.finish(session, job)


async def broken(studio: Studio) -> tuple[set[str], list[str]]:
    """Which rules are broken, and what is still open."""
    async with studio.database.transaction() as session:
        rules = {rule for rule, query in checks.RULES.items() if (await session.execute(sa.text(query))).first()}
        left = [row[0] for row in await session.execute(sa.text(checks.OPEN["generation"].replace(":", "\\:")))]
    return rules, left


async def test_a_sound_round_breaks_no_rule(studio):
    assert await broken(studio) == (set(), [])


def test_every_rule_is_tried():
    assert BROKEN.keys() == checks.RULES.keys()


@pytest.mark.parametrize("rule", BROKEN)
async def test_a_rule_sees_what_breaks_it(studio, rule):
    async with studio.database.transaction() as session:
        await session.execute(sa.text(BROKEN[rule]))
    assert rule in (await broken(studio))[0]


@pytest.mark.parametrize("text", OPEN)
async def test_what_is_still_open_is_seen(studio, text):
    async with studio.database.transaction() as session:
        await session.execute(sa.text(OPEN[text]))
    assert any(text in row for row in (await broken(studio))[1])


@pytest.mark.parametrize(
    ("row", "hold", "faults"),
    [
        ({}, {}, 0),
        ({"outcome": "INFRASTRUCTURE_ERROR"}, {}, 2),
        ({}, {"charged": 100}, 1),
        ({}, {"state": "HELD", "charged": None}, 1),
        ({"price_micros": 0}, {}, 1),
        ({"settlement": "RELEASED"}, {}, 1),
        (
            {"outcome": "CANCELLED_QUEUED", "price_micros": 0, "settlement": "RELEASED"},
            {"charged": 0, "state": "RELEASED"},
            0,
        ),
    ],
)
def test_a_charge_that_is_not_due_is_seen(row, hold, faults):
    assert len(checks.charges({"vid": ROW | row}, {"vid": HOLD | hold})) == faults


def test_a_charge_without_a_video_and_a_video_without_a_hold_are_seen():
    assert len(checks.charges({}, {"vid": HOLD})) == 1
    assert len(checks.charges({"vid": ROW}, {})) == 1
    assert checks.charges({}, {"vid": {"amount": 50, "charged": 0, "state": "RELEASED"}}) == []


@pytest.mark.parametrize(
    ("told", "faults"),
    [
        ({}, 0),
        ({"answers": ["vid", "vid"]}, 0),
        ({"answers": ["vid", "vid_2"]}, 1),
        ({"answers": ["vid_2"]}, 1),
        ({"answers": [], "refusals": ["BALANCE_TOO_LOW"]}, 1),
        ({"answers": []}, 0),
        ({"seen": {"state": "FAILED", "settlement": "CAPTURED"}}, 1),
        ({"cancelled": True}, 1),
    ],
)
def test_a_customer_who_was_told_something_else_is_seen(told, faults):
    order = Order(None, "key", {}, **({"answers": ["vid"], "seen": SEEN} | told))
    row = {"id": "vid", "request_id": "key", "state": "SUCCEEDED", "settlement": "CAPTURED"}
    assert len(checks.view(order, {"vid": row})) == faults
