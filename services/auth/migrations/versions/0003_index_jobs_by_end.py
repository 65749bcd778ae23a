"""Index open jobs by their missing end, so that no lookup by id or key reads such an index."""

from alembic import op

from services.runtime import database

revision = "auth_0003"
down_revision = "auth_0002"


def upgrade() -> None:
    database.index_anew(op, "jobs_queue", "jobs_due")
