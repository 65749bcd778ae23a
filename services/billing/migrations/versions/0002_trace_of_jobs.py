"""Let a job remember the trace of its cause."""

from alembic import op

from services.runtime import jobs

revision = "billing_0002"
down_revision = "billing_0001"


def upgrade() -> None:
    jobs.add_trace(op)
