"""Index open jobs and videos by their missing end, so that no lookup by id or key reads such an index."""

from alembic import op

from services.runtime import jobs

revision = "generation_0004"
down_revision = "generation_0003"


def upgrade() -> None:
    jobs.index_by_end(op)
    op.drop_index("videos_open", "videos")
    op.create_index("videos_open", "videos", ["model"], postgresql_where="end_time IS NULL")
