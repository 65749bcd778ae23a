"""Create the policies, their texts and receipts, and the audit log, all append-only."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from services.runtime import database, jobs

revision = "privacy_0001"
down_revision = None


def upgrade() -> None:
    jobs.create_tables(op)
    _create_policies()
    _create_audit()
    for table in ("policies", "policy_texts", "receipts", "audit_events"):
        database.append_only(op, table)


def _create_policies() -> None:
    op.create_table(
        "policies",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("effective_time", database.Time, nullable=False),
        sa.Column("publish_time", database.Time, nullable=False),
        sa.UniqueConstraint("kind", "version"),
        sa.CheckConstraint("version > 0"),
    )
    op.create_index("policies_newest", "policies", ["publish_time", "id"])
    op.create_table(
        "policy_texts",
        sa.Column("policy", sa.Text, sa.ForeignKey("policies.id"), primary_key=True),
        sa.Column("language", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.CheckConstraint("sha256 = encode(sha256(convert_to(text, 'UTF8')), 'hex')", name="policy_texts_sha256"),
    )
    op.create_table(
        "receipts",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, sa.ForeignKey("policies.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("accept_time", database.Time, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.UniqueConstraint("account", "policy"),
    )


def _create_audit() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("recorder", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", postgresql.JSONB, nullable=False),
        sa.Column("event_time", database.Time, nullable=False),
        sa.Column("record_time", database.Time, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
    )
    op.create_index("audit_events_newest", "audit_events", ["event_time", "id"])
    op.create_index("audit_events_of_subject", "audit_events", ["subject", "event_time", "id"])
    # The grants stop the service; the trigger stops the owner's slip of the hand too.
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
