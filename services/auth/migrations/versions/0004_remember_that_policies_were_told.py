"""Remember that privacy has told its policies: an empty table of them does not mean that nothing is in force."""

from alembic import op

revision = "auth_0004"
down_revision = "auth_0003"


def upgrade() -> None:
    op.execute("CREATE TABLE policies_told (id smallint PRIMARY KEY CHECK (id = 1))")
