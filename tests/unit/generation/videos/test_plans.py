"""What looks one video or job up reads no index of open rows, though the statistics say that there are hardly any."""

import pytest
import sqlalchemy as sa

from services.generation.videos import store
from services.runtime import jobs
from services.runtime.database import Database

OPEN_INDEXES = ["jobs_queue", "jobs_due", "jobs_open", "videos_open"]
PAST = 3000
VIDEOS = """
INSERT INTO videos (id, organization, project, account, request_id, state, sequence, progress_percent, stage, attempt,
  model, duration_seconds, resolution, aspect_ratio, seed, width, height, frame_rate, cost, create_time, start_deadline,
  profile_version, end_time, settlement)
SELECT 'vid_' || n, 'org_1', 'prj_1', 'acc_1', '', :state, 1, 0, '', 0, 'animatic', 5, '720p', '16:9', 1, 1280, 720, 24,
  5, now(), now() + interval '1 day', '1', :ended,
  CASE WHEN CAST(:ended AS timestamptz) IS NULL THEN NULL ELSE 'RELEASED' END
FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n"""
JOBS = """
INSERT INTO jobs (id, kind, key, payload, tenant, state, priority, vft, run_at, due_time, create_time, end_time)
SELECT 'job_' || n, 'generate.animatic', 'generate:vid_' || n, '{}', '', :state, 100, n, 'epoch', 'epoch', 'epoch',
  :ended
FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n"""
SCANS = "SELECT relname, pg_stat_get_xact_numscans(oid) FROM pg_class WHERE relname = ANY(:names)"


@pytest.fixture
async def database(postgres, clock):
    """A database that ended videos alone were counted in; then some more were ordered."""
    owner, url = postgres.urls("generation")
    engine = sa.ext.asyncio.create_async_engine(owner, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        past = {"first": 1, "last": PAST, "ended": clock.now()}
        await connection.execute(sa.text(VIDEOS), {"state": "FAILED", **past})
        await connection.execute(sa.text(JOBS), {"state": "DEAD", **past})
        await connection.execute(sa.text("ANALYZE"))
        now = {"first": PAST + 1, "last": PAST + 10, "ended": None}
        await connection.execute(sa.text(VIDEOS), {"state": "ADMITTING", **now})
    await engine.dispose()
    opened = Database(url)
    yield opened
    await opened.close()


async def scans(session):
    return dict((await session.execute(sa.text(SCANS), {"names": OPEN_INDEXES})).tuples().all())


async def test_no_step_of_a_life_reads_all_that_is_open(database, clock):
    video = f"vid_{PAST + 1}"
    async with database.transaction() as session:
        await store.queue(session, video, clock.now(), quote_micros=1, currency="CNY", price_version=1, max_attempts=3)
        assert set(await store.places(session, [video])) == {video}
        assert (await scans(session)) == dict.fromkeys(OPEN_INDEXES, 0)
        job = await jobs.claim(session, ["generate.animatic"], "w", clock, 30)
        before = await scans(session)
        assert before["jobs_queue"] == 1, "a claim is what the index is for"
        assert await store.start(session, video, clock.now(), 1)
        assert await store.progress(session, video, 5, "GENERATING", 1)
        assert await store.is_running(session, video, 1)
        assert await jobs.renew_leases(session, [job], clock, 30) == {job.id}
        await jobs.assert_lease(session, job)
        assert await store.end(session, video, "FAILED", "INFRASTRUCTURE_ERROR", now=clock.now(), attempt=1)
        await jobs.finish(session, job)
        assert await scans(session) == before


async def test_what_is_open_is_found_by_the_index_of_it(database):
    async with database.transaction() as session:
        await session.execute(sa.text("SET LOCAL enable_seqscan = on"))
        assert await store.running(session, ["animatic"]) == {}
        assert await store.waiting(session, ["animatic"]) == {"animatic": []}
        found = await scans(session)
    assert (found["videos_open"], found["jobs_open"]) == (1, 1)
