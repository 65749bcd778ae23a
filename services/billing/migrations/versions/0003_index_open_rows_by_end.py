"""Index open jobs and holds by their missing end, so that no lookup by id or key reads such an index; and check a
wallet once in a transaction, however many of its rows were changed."""

from alembic import op

from services.runtime import database

revision = "billing_0003"
down_revision = "billing_0002"

# As before, but for the index that it reads, and in the language whose plans are kept.
WALLET_FAULT = """
CREATE OR REPLACE FUNCTION wallet_fault(wanted text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN (
    WITH own AS MATERIALIZED (
        SELECT id, available, held FROM lots WHERE organization = wanted AND (available > 0 OR held > 0)
    ), open AS MATERIALIZED (
        SELECT video, amount FROM holds WHERE organization = wanted AND end_time IS NULL
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
); END $$
"""
# A wallet that this transaction has written is checked by its own trigger, at the end as well; what changed its lots
# and holds need not look again. A row written in a savepoint bears another number, and is looked at by each.
CHECK_WALLET = """
CREATE OR REPLACE FUNCTION check_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wanted text;
    fault text;
BEGIN
    IF TG_TABLE_NAME = 'hold_lots' THEN
        SELECT organization INTO wanted FROM holds WHERE video = NEW.video;
    ELSE
        wanted := NEW.organization;
    END IF;
    IF TG_TABLE_NAME <> 'wallets' AND EXISTS (
        SELECT FROM wallets WHERE organization = wanted AND xmin = pg_current_xact_id()::xid
    ) THEN
        RETURN NULL;
    END IF;
    fault := wallet_fault(wanted);
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION 'wallet %: %', wanted, fault USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    database.index_anew(op, "jobs_queue", "jobs_due")
    for name, columns in (("holds_open", ["organization"]), ("holds_open_by_time", ["create_time", "id"])):
        op.drop_index(name, "holds")
        op.create_index(name, "holds", columns, postgresql_where="end_time IS NULL")
    op.execute(WALLET_FAULT)
    op.execute(CHECK_WALLET)
