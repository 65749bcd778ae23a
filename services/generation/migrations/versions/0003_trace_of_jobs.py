"""Let a job remember the trace of its cause."""

from alembic import op

from services.runtime import jobs

revision = "generation_0003"
down_revision = "generation_0002"


def upgrade() -> None:
    jobs.add_trace(op)
