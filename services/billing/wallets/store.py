"""All SQL of wallets, lots, holds and the journal.

Whatever changes a wallet or its lots holds the wallet's lock and counts its `version`. A statement that locks and reads
lots at once compares the locked row with the one of its own snapshot: where they differ it had to wait, its lots are
stale, and it changes nothing. A hold's row is locked before its wallet's.
"""

import dataclasses
import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.billing.wallets.domain import Ending, Movement, Order, Piece, Terms
from services.billing.wallets.tables import Entry, Hold, HoldLot, Journal, Lot, Wallet
from services.runtime import ids
from services.runtime.database import Session
from services.runtime.pages import Page

Moment = datetime.datetime
BURN_ORDER = "priority, expire_time NULLS LAST, kind <> 'PROMOTIONAL', create_time, id"
"""The order in which lots are spent; it is published."""
DEFAULT_PRIORITY = 100
_HOLDS = Hold.__table__.c
_TERMS = [field.name for field in dataclasses.fields(Terms)]


_OPEN = insert(Wallet).on_conflict_do_nothing().returning(Wallet.organization)
_TRIAL = sa.insert(Lot)


async def open_wallet(session: Session, organization: str, currency: str, trial: Lot | None, now: Moment) -> bool:
    """Make the wallet unless it exists, with the trial lot; returns whether it was made. The caller books the grant.

    Who comes second at the same time waits, and finds it made.
    """
    amount = trial.granted if trial else 0
    wallet = {
        "organization": organization, "currency": currency, "available": amount, "held": 0, "open_holds": 0,
        "version": 1, "park_time": None, "brake_time": None, "create_time": now,
    }  # fmt: skip
    made = (await session.execute(_OPEN, wallet)).first() is not None
    if made and trial:
        await session.execute(_TRIAL, {column.key: getattr(trial, column.key) for column in Lot.__table__.c})
    return made


def promotional_lot(organization: str, amount: int, expire_time: Moment, now: Moment) -> Lot:
    """Make a lot of given credit, not stored yet."""
    return Lot(
        id=ids.new("lot"), organization=organization, kind="PROMOTIONAL", priority=DEFAULT_PRIORITY, granted=amount,
        available=amount, held=0, expire_time=expire_time, create_time=now,
    )  # fmt: skip


_LOCK_WALLET = (
    sa.select(Wallet.currency, Wallet.open_holds, Wallet.park_time)
    .where(Wallet.organization == sa.bindparam("organization"))
    .with_for_update()
)


async def lock_wallet(session: Session, organization: str) -> Any:
    """Lock the wallet's row until the transaction ends and answer it; None when there is no wallet."""
    return (await session.execute(_LOCK_WALLET, {"organization": organization})).first()


_HOLD = sa.text(f"""
WITH wallet AS MATERIALIZED (
  SELECT organization, open_holds, park_time, version FROM wallets WHERE organization = :organization FOR UPDATE
), seen AS MATERIALIZED (
  SELECT version FROM wallets WHERE organization = :organization
), free AS (
  SELECT FROM wallet, seen WHERE wallet.version = seen.version AND park_time IS NULL AND open_holds < :open_limit
), usable AS MATERIALIZED (
  SELECT id, available, row_number() OVER burn AS position, sum(available) OVER burn - available AS before FROM lots
  WHERE organization = :organization AND available > 0 AND (expire_time IS NULL OR expire_time > :now)
  WINDOW burn AS (ORDER BY {BURN_ORDER} ROWS UNBOUNDED PRECEDING)
), hold AS (
  INSERT INTO holds (video, id, organization, project, account, model, resolution, duration_seconds, price_version,
    currency, amount, state, create_time, expire_time)
  SELECT :video, :id, :organization, :project, :account, :model, :resolution, :duration_seconds, :price_version,
    :currency, :amount, 'HELD', :now, :expire_time FROM free
  WHERE (SELECT coalesce(sum(available), 0) FROM usable) >= :amount
  ON CONFLICT (video) DO NOTHING RETURNING *
), taken AS (
  SELECT hold.video, usable.id, position, least(available, :amount - before) AS amount FROM usable, hold
  WHERE before < :amount
), piece AS (
  INSERT INTO hold_lots (video, lot, position, amount) SELECT video, id, position, amount FROM taken
), lot AS (
  UPDATE lots SET available = lots.available - taken.amount, held = lots.held + taken.amount
  FROM taken WHERE lots.id = taken.id
), changed AS (
  UPDATE wallets SET available = wallets.available - :amount, held = wallets.held + :amount,
    open_holds = wallets.open_holds + 1, version = wallets.version + 1
  FROM hold WHERE wallets.organization = hold.organization
)
SELECT found.usable, wallet.open_holds, wallet.park_time, wallet.version = seen.version AS fresh, hold.*
FROM wallet CROSS JOIN seen CROSS JOIN (SELECT coalesce(sum(available), 0)::bigint AS usable FROM usable) AS found
LEFT JOIN hold ON true
""").bindparams(  # noqa: S608  BURN_ORDER is ours
    *(sa.bindparam(name, type_=sa.Text) for name in ("video", "id", "organization", "project", "account", "model")),
    *(sa.bindparam(name, type_=sa.Text) for name in ("resolution", "currency")),
    *(sa.bindparam(name, type_=sa.Integer) for name in ("duration_seconds", "price_version", "open_limit")),
    sa.bindparam("amount", type_=sa.BigInteger),
    *(sa.bindparam(name, type_=sa.DateTime(timezone=True)) for name in ("now", "expire_time")),
)


async def hold(session: Session, order: Order, open_limit: int, now: Moment) -> Any | None:
    """Hold an amount for a video in burn order, in one statement, which takes the wallet's lock.

    Answers a row: `usable` (what could be spent), `open_holds` and `park_time` before it, and the columns of the hold
    that was made, None when nothing is changed. Not `fresh`: it had to wait for the lock, so that its lots are older
    than the wallet, and nothing is changed; with the lock at hand it is always fresh. None: there is no wallet.
    """
    values = vars(order.terms) | {
        "id": ids.new("hld"), "currency": order.currency, "amount": order.amount, "open_limit": open_limit,
        "expire_time": order.expire_time, "now": now,
    }  # fmt: skip
    return (await session.execute(_HOLD, values)).first()


_HOLD_OF = sa.select(Hold.__table__).where(_HOLDS.video == sa.bindparam("video"))


async def hold_of(session: Session, video: str) -> Any | None:
    """Return the row of a video's hold or bar, None when there is none."""
    return (await session.execute(_HOLD_OF, {"video": video})).first()


_OPEN_HOLD = (
    sa.select(Hold.__table__, HoldLot.lot, HoldLot.amount.label("piece"), Lot.kind, Lot.expire_time.label("lot_end"))
    .join(Wallet, Wallet.organization == Hold.organization)
    .outerjoin(HoldLot, HoldLot.video == Hold.video)
    .outerjoin(Lot, Lot.id == HoldLot.lot)
    .where(Hold.video == sa.bindparam("video"), Hold.state == "HELD")
    .order_by(HoldLot.position)
)
_LOCK_OPEN_HOLD = _OPEN_HOLD.with_for_update(of=[Hold, Wallet])


async def open_hold(session: Session, video: str, *, locked: bool) -> tuple[Any, list[Piece]] | None:
    """Return the row of an open hold and what it took; locked, it first and then its wallet. None: there is none."""
    rows = (await session.execute(_LOCK_OPEN_HOLD if locked else _OPEN_HOLD, {"video": video})).all()
    if not rows:
        return None
    return rows[0], [Piece(row.lot, row.kind, row.piece, row.lot_end) for row in rows if row.lot]


def terms_of(row: Any) -> Any:
    """Return the Terms that a hold's row records; None for a bar."""
    return Terms(*(getattr(row, name) for name in _TERMS)) if row.organization else None


_BAR = sa.text("""
INSERT INTO holds (video, id, currency, amount, charged, state, create_time, end_time)
VALUES (:video, :id, :currency, 0, 0, 'RELEASED', :now, :now) ON CONFLICT DO NOTHING
""").bindparams(
    *(sa.bindparam(name, type_=sa.Text) for name in ("video", "id", "currency")),
    sa.bindparam("now", type_=sa.DateTime(timezone=True)),
)


async def bar(session: Session, video: str, currency: str, now: Moment) -> None:
    """Bar a video that has no row; waits for one that is being made, and then does nothing."""
    await session.execute(_BAR, {"video": video, "id": ids.new("hld"), "currency": currency, "now": now})


_END = sa.text("""
WITH part AS MATERIALIZED (
  SELECT lot, held, back FROM unnest(CAST(:lots AS text[]), CAST(:held AS bigint[]), CAST(:back AS bigint[]))
    AS part (lot, held, back)
), hold AS MATERIALIZED (
  SELECT video, organization FROM holds WHERE video = :video AND state = 'HELD' FOR UPDATE
), wallet AS MATERIALIZED (
  SELECT wallets.organization, version FROM wallets JOIN hold USING (organization) FOR UPDATE OF wallets
), free AS (
  SELECT wallet.organization FROM wallet JOIN wallets AS seen USING (organization)
  WHERE wallet.version = seen.version AND (CAST(:journal AS text) IS NULL OR (
    SELECT count(*) FROM (
      SELECT FROM journals WHERE journals.organization = wallet.organization AND kind = :kind
        AND journals.create_time > greatest(CAST(:since AS timestamptz), brake_time)
      LIMIT :most
    ) AS recent
  ) < :most)
), ended AS (
  UPDATE holds SET state = :state, charged = :charged, outcome = :outcome, end_time = :now
  FROM free WHERE video = :video AND state = 'HELD' RETURNING holds.*
), changed AS (
  UPDATE wallets SET available = wallets.available + (SELECT coalesce(sum(back), 0)::bigint FROM part),
    held = wallets.held - ended.amount, open_holds = open_holds - 1, version = version + 1
  FROM ended WHERE wallets.organization = ended.organization RETURNING wallets.organization
), lot AS (
  UPDATE lots SET held = lots.held - part.held, available = lots.available + part.back
  FROM part, changed WHERE lots.id = part.lot
), journal AS (
  INSERT INTO journals (id, kind, scope, key, fingerprint, organization, video, description, lines, effective_time,
    create_time)
  SELECT :journal, :kind, :scope, :key, :fingerprint, organization, :video, :description, :lines, :now, :now
  FROM changed WHERE CAST(:journal AS text) IS NOT NULL RETURNING id
), entry AS (
  INSERT INTO entries (journal, account, organization, lot, amount, currency)
  SELECT journal.id, line.account, organization, line.lot, line.amount, :currency
  FROM journal, changed, unnest(CAST(:accounts AS text[]), CAST(:line_lots AS text[]), CAST(:amounts AS bigint[]))
    WITH ORDINALITY AS line (account, lot, amount, place) ORDER BY place
)
SELECT * FROM ended
""").bindparams(
    *(sa.bindparam(name, type_=sa.Text) for name in ("video", "state", "outcome", "journal", "kind", "scope", "key")),
    *(sa.bindparam(name, type_=sa.Text) for name in ("fingerprint", "description", "currency")),
    *(sa.bindparam(name, type_=sa.BigInteger) for name in ("charged", "lines", "most")),
    sa.bindparam("now", type_=sa.DateTime(timezone=True)),
)
_NO_MOVEMENT = dict.fromkeys(("kind", "scope", "key", "fingerprint", "description", "currency", "lines"))


async def end_hold(
    session: Session, video: str, ending: Ending, movement: Movement | None, *, now: Moment, most_per_hour: int
) -> Any | None:
    """End an open hold under its lock and its wallet's, give its lots back what is not charged, and book the movement,
    in one statement; returns its row.

    None, and nothing is changed: it has ended, it had to wait for the wallet's lock, or the movement would be one more
    of its kind within an hour than so many. With both locks at hand only the last can be.
    """
    values = {
        "video": video, "state": ending.state, "outcome": ending.outcome, "charged": ending.charged, "now": now,
        "lots": [part.lot for part in ending.parts],
        "held": [part.charged + part.returned + part.lapsed for part in ending.parts],
        "back": [part.returned for part in ending.parts],
        **_NO_MOVEMENT, "journal": None, "accounts": [], "line_lots": [], "amounts": [],
        "since": now - datetime.timedelta(hours=1), "most": most_per_hour,
    }  # fmt: skip
    if movement is not None:
        values |= _values(movement)
    return (await session.execute(_END, values)).first()


_BOOK = sa.text("""
WITH journal AS (
  INSERT INTO journals (id, kind, scope, key, fingerprint, organization, video, description, lines, effective_time,
    create_time)
  VALUES (:journal, :kind, :scope, :key, :fingerprint, :organization, :video, :description, :lines, :now, :now)
  RETURNING id
), entry AS (
  INSERT INTO entries (journal, account, organization, lot, amount, currency)
  SELECT journal.id, line.account, :organization, line.lot, line.amount, :currency
  FROM journal, unnest(CAST(:accounts AS text[]), CAST(:line_lots AS text[]), CAST(:amounts AS bigint[]))
    WITH ORDINALITY AS line (account, lot, amount, place) ORDER BY place
)
UPDATE wallets SET park_time = :now WHERE organization = :organization AND park_time IS NULL AND (
  SELECT count(*) FROM (
    SELECT FROM journals WHERE journals.organization = :organization AND kind = :kind
      AND journals.create_time > greatest(CAST(:since AS timestamptz), brake_time)
    LIMIT :most
  ) AS recent
) >= :most RETURNING organization
""").bindparams(
    *(sa.bindparam(name, type_=sa.Text) for name in ("journal", "kind", "scope", "key", "fingerprint", "organization")),
    *(sa.bindparam(name, type_=sa.Text) for name in ("video", "description", "currency")),
    *(sa.bindparam(name, type_=sa.BigInteger) for name in ("lines", "most")),
    sa.bindparam("now", type_=sa.DateTime(timezone=True)),
)


async def book(session: Session, movement: Movement, now: Moment, most_per_hour: int) -> bool:
    """Book a movement. Returns True when it is more than so many of its kind within an hour, which parks the wallet."""
    values = _values(movement) | {
        "organization": movement.organization, "video": movement.video,
        "now": now, "since": now - datetime.timedelta(hours=1), "most": most_per_hour,
    }  # fmt: skip
    return (await session.execute(_BOOK, values)).first() is not None


def _values(movement: Movement) -> dict[str, Any]:
    return {
        "journal": ids.new("txn"), "kind": movement.kind, "scope": movement.scope, "key": movement.key,
        "fingerprint": movement.fingerprint, "description": movement.description, "lines": len(movement.lines),
        "currency": movement.currency, "accounts": [line.account for line in movement.lines],
        "line_lots": [line.lot for line in movement.lines], "amounts": [line.amount for line in movement.lines],
    }  # fmt: skip


async def unpark(session: AsyncSession, organization: str, now: Moment) -> bool:
    """Let a parked wallet run again; the brake counts anew from now. Returns whether it was parked."""
    statement = (
        sa.update(Wallet)
        .where(Wallet.organization == organization, Wallet.park_time.is_not(None))
        .values(park_time=None, brake_time=now)
        .returning(Wallet.organization)
    )
    return (await session.execute(statement)).first() is not None


async def wallet_and_lots(session: AsyncSession, organization: str) -> tuple[Wallet, list[Lot]] | None:
    """Return the wallet and its lots with something left, in burn order, as of one moment; None: no wallet."""
    left = sa.and_(Lot.organization == Wallet.organization, sa.or_(Lot.available > 0, Lot.held > 0))
    order = sa.text(", ".join(f"lots.{part}" for part in BURN_ORDER.split(", ")))
    query = sa.select(Wallet, Lot).outerjoin(Lot, left).where(Wallet.organization == organization).order_by(order)
    rows = (await session.execute(query)).all()
    return (rows[0][0], [lot for _, lot in rows if lot]) if rows else None


async def transactions(session: AsyncSession, organization: str, page: Page) -> list[Any]:
    """Return the journals of a wallet, newest first, one more than the page holds: (journal, amount, lots) rows.

    `amount` is what the customer has more after it.
    """
    newest = page.of(sa.select(Journal).where(Journal.organization == organization), Journal.create_time, Journal.id)
    journal = newest.subquery()
    amount = sa.func.sum(Entry.amount)
    query = (
        sa.select(journal, amount.label("amount"), sa.func.min(Entry.currency).label("currency"))
        .add_columns(sa.func.array_agg(sa.dialects.postgresql.aggregate_order_by(Entry.lot, Entry.id)).label("lots"))
        .join(Entry, sa.and_(Entry.journal == journal.c.id, Entry.lot.is_not(None)))
        .group_by(*journal.c)
        .order_by(journal.c.create_time.desc(), journal.c.id.desc())
    )
    return list((await session.execute(query)).all())


async def open_holds(session: AsyncSession, page: Page) -> list[Any]:
    """Return the open holds, oldest first, one more than the page holds."""
    query = sa.select(Hold.__table__).where(_HOLDS.end_time.is_(None))
    if page.after is not None:
        query = query.where(sa.tuple_(_HOLDS.create_time, _HOLDS.id) > sa.tuple_(*map(sa.literal, page.after)))
    query = query.order_by(_HOLDS.create_time, _HOLDS.id).limit(page.size + 1)
    return list((await session.execute(query)).all())


async def figures(session: AsyncSession, now: Moment) -> tuple[int, int, int]:
    """Return how many holds are open, how many of them are past their time, and how many wallets are parked."""
    counts = sa.select(sa.func.count(), sa.func.count().filter(_HOLDS.expire_time <= now))
    opened, overdue = (await session.execute(counts.where(_HOLDS.end_time.is_(None)))).one()
    parked = await session.scalar(sa.select(sa.func.count()).where(Wallet.park_time.is_not(None)))
    return opened, overdue, parked or 0


async def wallets_with_ended_lots(session: AsyncSession, now: Moment, most: int) -> list[str]:
    """Return organizations that have something left in a lot past its date."""
    query = sa.select(Lot.organization).where(Lot.available > 0, Lot.expire_time <= now).distinct().limit(most)
    return list(await session.scalars(query))


async def empty_ended_lots(session: AsyncSession, organization: str, now: Moment) -> list[Any]:
    """Take what is not held out of the lots past their dates; answers (id, kind, available, held) as they were.

    The caller has the wallet's lock and books the lapse.
    """
    ended = sa.and_(Lot.organization == organization, Lot.available > 0, Lot.expire_time <= now)
    query = sa.select(Lot.id, Lot.kind, Lot.available, Lot.held).where(ended).order_by(Lot.id)
    lots = list((await session.execute(query)).all())
    if lots:
        lapsed = sum(lot.available for lot in lots)
        changed = {"available": Wallet.available - lapsed, "version": Wallet.version + 1}
        await session.execute(sa.update(Wallet).where(Wallet.organization == organization).values(changed))
        await session.execute(sa.update(Lot).where(ended).values(available=0))
    return lots
