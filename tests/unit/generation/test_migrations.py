"""What a migration makes of rows that are there already."""

import sqlalchemy as sa
from alembic import command

from services.runtime import database

ROWS = """
INSERT INTO videos (id, organization, project, account, request_id, state, sequence, progress_percent, stage, attempt,
  model, duration_seconds, resolution, aspect_ratio, seed, width, height, frame_rate, cost, create_time, start_deadline,
  profile_version) VALUES ('vid_1', 'org_1', 'prj_1', 'acc_1', '', 'QUEUED', 1, 0, '', 0,
  'animatic', 5, '720p', '16:9', 1, 1280, 720, 24, 5, now(), now(), '1');
INSERT INTO jobs (id, kind, key, payload, tenant, state, priority, vft, run_at, due_time, create_time) VALUES
  ('job_1', 'generate', 'generate:vid_1', '{}', 'org_1', 'QUEUED', 100, 7, now(), now(), now()),
  ('job_2', 'settle', 'settle:vid_1', '{}', 'org_1', 'QUEUED', 100, 0, now(), now(), now());
INSERT INTO job_pools VALUES ('generate', 100, 4);
INSERT INTO job_shares VALUES ('generate', 100, 'org_1', 7)
"""


async def _at(owner_url: str, revision: str, statements: str = "") -> None:
    """Bring a database to a revision and write rows into it."""
    engine = sa.ext.asyncio.create_async_engine(owner_url)
    async with engine.connect() as connection:
        await connection.run_sync(
            lambda sync: command.upgrade(database._config("generation", sync), f"generation_{revision}")
        )
        for statement in filter(None, statements.split(";\n")):
            await connection.execute(sa.text(statement))
        await connection.commit()
    await engine.dispose()


async def test_a_queued_video_keeps_its_place_in_the_queue_of_its_model(postgres):
    owner, url = postgres.urls("generation_before", lambda made: _at(made, "0001", ROWS))
    await _at(owner, "0002")
    opened = database.Database(url)
    async with opened.transaction() as session:
        jobs = (await session.execute(sa.text("SELECT id, kind FROM jobs ORDER BY id"))).tuples().all()
        pools = (await session.execute(sa.text("SELECT kind, clock FROM job_pools"))).tuples().all()
        shares = (await session.execute(sa.text("SELECT kind, tenant, vft FROM job_shares"))).tuples().all()
    await opened.close()
    assert jobs == [("job_1", "generate.animatic"), ("job_2", "settle")]
    assert pools == [("generate.animatic", 4.0)]
    assert shares == [("generate.animatic", "org_1", 7.0)]


async def test_a_video_that_was_running_shows_the_first_stage_by_its_new_name(postgres):
    running = "; UPDATE videos SET state = 'RUNNING', stage = 'MODERATING'".replace("; ", ";\n")
    owner, url = postgres.urls("generation_running", lambda made: _at(made, "0001", ROWS + running))
    await _at(owner, "0005")
    opened = database.Database(url)
    async with opened.transaction() as session:
        stages = (await session.scalars(sa.text("SELECT stage FROM videos"))).all()
    await opened.close()
    assert stages == ["PREPARING"]
