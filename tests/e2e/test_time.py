"""What days do, through Envoy and every real part: the suite's clock jumps, the host's does not."""

import datetime

import pytest

from deploy.local.client import Refused
from tests.e2e.conftest import ended
from tests.support.waiting import until, until_served

ORDER = {"model": "animatic", "prompt": "a lighthouse at dusk", "resolution": "480p", "duration_seconds": 2}
LONG = {**ORDER, "resolution": "720p", "duration_seconds": 5}


@pytest.fixture(scope="module")
def suite(movable):
    """All fixtures of this file are on the suite whose time moves."""
    return movable


async def refused(call) -> str:
    with pytest.raises(Refused) as told:
        await call
    return told.value.reason


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def stored(suite) -> set:
    return {path for path in (suite.home / "objects").rglob("*") if path.is_file()}


async def test_a_film_is_gone_after_the_days_of_the_profile(suite, profile, customer, tmp_path):
    before = stored(suite)
    video = await ended(customer, (await customer.call("POST", "/v1/videos", ORDER))["id"])
    content = f"/v1/videos/{video['id']}/content"
    assert await customer.download(content, tmp_path / "film.mp4") == int(video["output"]["size_bytes"])
    [film] = stored(suite) - before
    days = profile.retention.output_days
    kept = moment(video["expire_time"]) - moment(video["end_time"])
    assert abs(kept - datetime.timedelta(days=days)) < datetime.timedelta(seconds=10)
    suite.advance(days=days)
    suite.advance(seconds=1)
    assert await refused(customer.download(content, tmp_path / "late.mp4")) == "OUTPUT_EXPIRED"
    suite.restart("worker")  # its sweeps begin with its start, and it knows what time it is
    await until(lambda: film not in stored(suite), what="the bytes are removed")
    gone = await customer.call("GET", f"/v1/videos/{video['id']}")
    assert not gone["parameters"].get("prompt")


async def test_a_session_ends_by_its_age_and_its_person_logs_in_again(suite, profile, customer):
    tokens = await customer.call("POST", "/v1/sessions", await customer.send_code(customer.phone, "LOGIN"))
    customer.credential = tokens["access_token"]
    suite.advance(minutes=profile.sessions.access_minutes)
    assert await refused(customer.call("GET", "/v1/sessions")) == "TOKEN_EXPIRED"
    refresh = {"refresh_token": tokens["refresh_token"]}
    customer.credential = ""
    tokens = await customer.call("POST", "/v1/sessions:refresh", refresh)
    suite.advance(days=profile.sessions.refresh_days)
    refresh = {"refresh_token": tokens["refresh_token"]}
    assert await refused(customer.call("POST", "/v1/sessions:refresh", refresh)) == "TOKEN_EXPIRED"
    await customer.log_in(customer.phone)
    [session] = (await customer.call("GET", "/v1/sessions"))["sessions"]
    assert abs(moment(session["create_time"]) - suite.now()) < datetime.timedelta(minutes=2)


async def test_a_code_is_good_for_its_minutes(suite, profile, customer):
    customer.credential = ""
    proof = await customer.send_code(customer.phone, "LOGIN")
    suite.advance(minutes=profile.sessions.code_minutes)
    assert await refused(customer.call("POST", "/v1/sessions", proof)) == "CODE_EXPIRED"
    suite.advance(minutes=1)
    assert await customer.log_in(customer.phone)


async def test_a_key_is_refused_from_its_expire_time_on(suite, customer):
    customer.credential = customer.session
    end = (suite.now() + datetime.timedelta(days=7)).isoformat().replace("+00:00", "Z")
    await customer.make_key("a week", expire_time=end)
    suite.advance(days=6, hours=23)
    await customer.call("GET", "/v1/videos")
    suite.advance(hours=1)
    assert await refused(customer.call("GET", "/v1/videos")) == "KEY_EXPIRED"


async def test_a_jump_of_forty_days_disturbs_no_video_that_is_being_made(suite, customer, books):
    """The one that runs is made and charged at its price; those that had not begun missed their start, for nothing."""
    ids = [(await customer.call("POST", "/v1/videos", {**LONG, "external_id": str(n)}))["id"] for n in range(3)]

    async def running() -> bool:
        return "RUNNING" in [(await customer.call("GET", f"/v1/videos/{one}"))["state"] for one in ids]

    await until(running, what="a video runs")
    suite.advance(days=40)
    jumped = suite.now()
    videos = [await ended(customer, one, 240) for one in ids]
    begun = [one for one in videos if one.get("start_time")]
    waited = [one for one in videos if not one.get("start_time")]
    assert begun
    assert waited
    assert [one["state"] for one in begun] == ["SUCCEEDED"] * len(begun)
    assert [one["settlement"] for one in begun] == ["CAPTURED"] * len(begun)
    assert all(moment(one["start_time"]) < jumped < moment(one["end_time"]) for one in begun)
    assert {one["error"]["details"][0]["reason"] for one in waited} == {"START_DEADLINE_PASSED"}
    assert [one["settlement"] for one in waited] == ["RELEASED"] * len(waited)
    charges = (await customer.call("GET", "/v1/wallet/transactions"))["transactions"]
    assert [row["kind"] for row in charges].count("CHARGE") == len(begun)
    attempts = await books.rows("generation", "SELECT attempt FROM videos WHERE id = ANY($1)", [v["id"] for v in begun])
    assert [row["attempt"] for row in attempts] == [1] * len(begun), "its lease was never taken over"


async def test_certificates_and_the_edge_stay_on_the_hosts_clock(suite, customer):
    """Past the end of every certificate by the moved clock, also for processes that start and connect only then."""
    before = await customer.call("GET", "/v1/wallet")
    assert before["available"] != {"currency_code": "CNY"}
    suite.advance(days=800)
    for name in ("auth", "generation", "envoy"):
        suite.restart(name)
    after = await until_served(lambda: customer.call("GET", "/v1/wallet"), 60, "AUTHORIZER_UNAVAILABLE")
    assert after["available"].get("units", "0") == "0", "trial credit lapses after its days"
    await customer.log_in(customer.phone)
    assert len((await customer.call("GET", "/v1/sessions"))["sessions"]) == 1
