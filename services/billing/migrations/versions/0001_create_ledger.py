"""Prices, wallets, lots, holds and the journal, with the rules that PostgreSQL itself keeps."""

import sqlalchemy as sa
from alembic import op

from services.runtime import database, jobs

revision = "billing_0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TERMS = ("project", "account", "model", "resolution", "duration_seconds", "price_version", "expire_time")


def upgrade() -> None:
    create_prices()
    create_wallets()
    create_lots()
    create_holds()
    create_hold_lots()
    create_journal()
    create_rules()
    jobs.create_tables(op)
    for table in ("price_books", "hold_lots", "journals", "entries"):
        database.append_only(op, table)


def create_prices() -> None:
    op.create_table(
        "price_books",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("effective_time", TIME, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("create_time", TIME, nullable=False),
    )


def create_wallets() -> None:
    op.create_table(
        "wallets",
        sa.Column("organization", sa.Text, primary_key=True),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("available", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("open_holds", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("park_time", TIME),
        sa.Column("brake_time", TIME),
        sa.Column("create_time", TIME, nullable=False),
        sa.CheckConstraint("available >= 0 AND held >= 0 AND open_holds >= 0", name="wallets_not_negative"),
    )


def create_lots() -> None:
    op.create_table(
        "lots",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organization", sa.Text, sa.ForeignKey("wallets.organization"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("granted", sa.BigInteger, nullable=False),
        sa.Column("available", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("expire_time", TIME),
        sa.Column("create_time", TIME, nullable=False),
        sa.CheckConstraint("available >= 0 AND held >= 0", name="lots_not_negative"),
        sa.CheckConstraint("available + held <= granted", name="lots_within_grant"),
        sa.CheckConstraint("kind IN ('PROMOTIONAL', 'CASH')", name="lots_kind"),
    )
    op.create_index("lots_with_money", "lots", ["organization"], postgresql_where="available > 0 OR held > 0")
    op.create_index("lots_by_end", "lots", ["expire_time"], postgresql_where="available > 0")


def create_holds() -> None:
    op.create_table(
        "holds",
        sa.Column("video", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("organization", sa.Text, sa.ForeignKey("wallets.organization")),
        sa.Column("project", sa.Text),
        sa.Column("account", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("resolution", sa.Text),
        sa.Column("duration_seconds", sa.Integer),
        sa.Column("price_version", sa.Integer, sa.ForeignKey("price_books.version")),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("charged", sa.BigInteger),
        sa.Column("outcome", sa.Text),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("end_time", TIME),
        sa.Column("expire_time", TIME),
        sa.CheckConstraint("charged BETWEEN 0 AND amount", name="holds_charged_within_held"),
        sa.CheckConstraint("state IN ('HELD', 'CAPTURED', 'RELEASED')", name="holds_state"),
        sa.CheckConstraint(
            "(state = 'HELD') = (end_time IS NULL) AND (state = 'HELD') = (charged IS NULL)", name="holds_end"
        ),
        sa.CheckConstraint("state <> 'RELEASED' OR charged = 0", name="holds_released_is_free"),
        sa.CheckConstraint(
            "organization IS NULL AND state = 'RELEASED' AND amount = 0 OR organization IS NOT NULL AND "
            + " AND ".join(f"{term} IS NOT NULL" for term in TERMS),
            name="holds_terms",
        ),
    )
    op.create_index("holds_open", "holds", ["organization"], postgresql_where="state = 'HELD'")
    op.create_index("holds_open_by_time", "holds", ["create_time", "id"], postgresql_where="state = 'HELD'")


def create_hold_lots() -> None:
    op.create_table(
        "hold_lots",
        sa.Column("video", sa.Text, sa.ForeignKey("holds.video"), primary_key=True),
        sa.Column("lot", sa.Text, sa.ForeignKey("lots.id"), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount > 0", name="hold_lots_positive"),
    )


def create_journal() -> None:
    op.create_table(
        "journals",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("organization", sa.Text, sa.ForeignKey("wallets.organization"), nullable=False),
        sa.Column("video", sa.Text),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("lines", sa.Integer, nullable=False),
        sa.Column("reverses", sa.Text, sa.ForeignKey("journals.id")),
        sa.Column("effective_time", TIME, nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.UniqueConstraint("scope", "key"),
        sa.CheckConstraint("kind IN ('GRANT', 'CHARGE', 'EXPIRY')", name="journals_kind"),
        sa.CheckConstraint("lines >= 2", name="journals_lines"),
    )
    op.create_index("journals_of_wallet", "journals", ["organization", "create_time", "id"])
    op.create_table(
        "entries",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("journal", sa.Text, sa.ForeignKey("journals.id"), nullable=False, index=True),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("organization", sa.Text, nullable=False),
        sa.Column("lot", sa.Text, sa.ForeignKey("lots.id"), index=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.CheckConstraint("amount <> 0", name="entries_not_zero"),
        sa.CheckConstraint(
            "(account IN ('CUSTOMER_PROMOTIONAL', 'CUSTOMER_CASH')) = (lot IS NOT NULL)", name="entries_lot"
        ),
    )


def create_rules() -> None:
    """Deferred triggers look at the end of each transaction; a fault there undoes all of it."""
    for statement in (*BALANCED, *FROZEN, *WALLET):
        op.execute(statement)
    for table, change in (("journals", "INSERT"), ("entries", "INSERT")):
        deferred(f"{table}_balanced", table, change, "check_journal()")
    for table, change in (
        ("wallets", "INSERT OR UPDATE"),
        ("lots", "INSERT OR UPDATE"),
        ("holds", "INSERT OR UPDATE"),
        ("hold_lots", "INSERT"),
    ):
        deferred(f"{table}_true", table, change, "check_wallet()")
    op.execute(
        "CREATE TRIGGER holds_frozen BEFORE UPDATE ON holds FOR EACH ROW EXECUTE FUNCTION refuse_change_of_hold()"
    )
    op.execute("CREATE TRIGGER lots_frozen BEFORE UPDATE ON lots FOR EACH ROW EXECUTE FUNCTION refuse_change_of_lot()")
    for table in ("wallets", "lots", "holds"):
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_delete()"
        )


def deferred(name: str, table: str, change: str, function: str) -> None:
    op.execute(
        f"CREATE CONSTRAINT TRIGGER {name} AFTER {change} ON {table} DEFERRABLE INITIALLY DEFERRED "
        f"FOR EACH ROW EXECUTE FUNCTION {function}"
    )


# Each journal has the lines that it says, and they sum to zero per currency. Counting the lines also keeps anyone from
# adding to a journal later.
BALANCED = (
    """
CREATE FUNCTION check_journal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wanted journals;
    found bigint;
BEGIN
    IF TG_TABLE_NAME = 'journals' THEN
        wanted := NEW;
    ELSE
        SELECT * INTO wanted FROM journals WHERE id = NEW.journal;
    END IF;
    SELECT count(*) INTO found FROM entries WHERE journal = wanted.id;
    IF found <> wanted.lines OR EXISTS (
        SELECT FROM entries WHERE journal = wanted.id GROUP BY currency HAVING sum(amount) <> 0
    ) THEN
        RAISE EXCEPTION 'journal % is not balanced', wanted.id USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM entries WHERE journal = wanted.id AND organization <> wanted.organization) THEN
        RAISE EXCEPTION 'journal % has entries of another wallet', wanted.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
""",
)

# An ended hold, and the terms of any hold or lot, never change; nothing of them is deleted.
FROZEN = (
    """
CREATE FUNCTION refuse_change_of_hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'HELD' THEN
        RAISE EXCEPTION 'hold % has ended and never changes', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF (to_jsonb(OLD) - '{state,charged,outcome,end_time}'::text[])
        <> (to_jsonb(NEW) - '{state,charged,outcome,end_time}'::text[]) THEN
        RAISE EXCEPTION 'the terms of hold % never change', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE FUNCTION refuse_change_of_lot() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.id, OLD.organization, OLD.kind, OLD.priority, OLD.granted, OLD.create_time)
        <> (NEW.id, NEW.organization, NEW.kind, NEW.priority, NEW.granted, NEW.create_time)
        OR OLD.expire_time IS DISTINCT FROM NEW.expire_time THEN
        RAISE EXCEPTION 'the terms of lot % never change', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
""",
    """
CREATE FUNCTION refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are kept', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$
""",
)

# The wallet is the sum of its lots; what is held is the sum of the open holds, by wallet, by lot and by hold. Lots and
# holds without money or state to add are out of the sums, so the cost does not grow with the past.
WALLET = (
    """
CREATE FUNCTION wallet_fault(wanted text) RETURNS text LANGUAGE sql STABLE AS $$
    WITH own AS MATERIALIZED (
        SELECT id, available, held FROM lots WHERE organization = wanted AND (available > 0 OR held > 0)
    ), open AS MATERIALIZED (
        SELECT video, amount FROM holds WHERE organization = wanted AND state = 'HELD'
    ), piece AS MATERIALIZED (
        SELECT video, lot, hold_lots.amount FROM open JOIN hold_lots USING (video)
    )
    SELECT CASE
        WHEN available <> (SELECT coalesce(sum(available), 0) FROM own) THEN 'available is not the sum of its lots'
        WHEN held <> (SELECT coalesce(sum(held), 0) FROM own) THEN 'held is not the sum of its lots'
        WHEN (held, open_holds) <> (SELECT coalesce(sum(amount), 0), count(*) FROM open)
            THEN 'held is not the sum of its open holds'
        WHEN EXISTS (
            SELECT FROM own
            FULL JOIN (SELECT lot, sum(amount) AS amount FROM piece GROUP BY lot) AS taken ON taken.lot = own.id
            WHERE coalesce(own.held, 0) <> coalesce(taken.amount, 0)
        ) THEN 'a lot does not hold what its open holds took'
        WHEN EXISTS (
            SELECT FROM open LEFT JOIN piece USING (video) GROUP BY video, open.amount
            HAVING open.amount <> coalesce(sum(piece.amount), 0)
        ) THEN 'a hold is not the sum of what it took'
    END FROM wallets WHERE organization = wanted
$$
""",
    """
CREATE FUNCTION check_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wanted text;
    fault text;
BEGIN
    IF TG_TABLE_NAME = 'hold_lots' THEN
        SELECT organization INTO wanted FROM holds WHERE video = NEW.video;
    ELSE
        wanted := NEW.organization;
    END IF;
    fault := wallet_fault(wanted);
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION 'wallet %: %', wanted, fault USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
""",
)
