"""Index open jobs and videos by their missing end, so that no lookup by id or key reads such an index."""

from alembic import op

from services.runtime import database

revision = "generation_0004"
down_revision = "generation_0003"


def upgrade() -> None:
    database.index_anew(op, "jobs_queue", "jobs_due")
    op.drop_index("videos_open", "videos")
    op.create_index("videos_open", "videos", ["model"], postgresql_where="end_time IS NULL")
