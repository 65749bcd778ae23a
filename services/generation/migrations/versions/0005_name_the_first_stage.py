"""Name the first stage of running videos by what it is: nothing is moderated there (P-F1)."""

from alembic import op

revision = "generation_0005"
down_revision = "generation_0004"


def upgrade() -> None:
    op.execute("UPDATE videos SET stage = 'PREPARING' WHERE stage = 'MODERATING'")
