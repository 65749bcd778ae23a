"""Let a job remember the trace of its cause."""

from alembic import op

from services.runtime import jobs

revision = "privacy_0002"
down_revision = "privacy_0001"


def upgrade() -> None:
    jobs.add_trace(op)
