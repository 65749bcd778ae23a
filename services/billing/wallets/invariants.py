"""What must always hold of the ledger, asked as SQL: each query answers what breaks its rule, so none answers a row.

PostgreSQL keeps most of it by itself at each commit; these ask the whole database, for tests and for an operator.
"""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

RULES = {
    "a journal sums to zero per currency and has the lines that it says": """
        SELECT journals.id FROM journals LEFT JOIN entries ON entries.journal = journals.id
        GROUP BY journals.id HAVING count(entries.id) <> journals.lines OR EXISTS (
          SELECT FROM entries AS own WHERE own.journal = journals.id GROUP BY own.currency HAVING sum(own.amount) <> 0)
    """,
    "a journal does and says what was booked": """
        SELECT journals.id FROM journals JOIN entries ON entries.journal = journals.id
        GROUP BY journals.id HAVING fingerprint <> encode(sha256(convert_to(concat_ws(E'\\n',
          kind, journals.organization, coalesce(video, ''), description,
          string_agg(concat_ws(' ', account, coalesce(lot, ''), amount, currency), E'\\n' ORDER BY entries.id)
        ), 'UTF8')), 'hex')
    """,
    "a wallet is the sum of its lots, and held what its open holds took": """
        SELECT organization FROM wallets WHERE wallet_fault(organization) IS NOT NULL
    """,
    "a lot is the sum of its entries": """
        SELECT lots.id FROM lots LEFT JOIN entries ON entries.lot = lots.id
        GROUP BY lots.id HAVING lots.available + lots.held <> coalesce(sum(entries.amount), 0)
    """,
    "a wallet is the sum of its customer entries": """
        SELECT wallets.organization FROM wallets
        LEFT JOIN entries ON entries.organization = wallets.organization AND entries.lot IS NOT NULL
        GROUP BY wallets.organization HAVING wallets.available + wallets.held <> coalesce(sum(entries.amount), 0)
    """,
    "a lot is granted once, by what it was": """
        SELECT lots.id FROM lots LEFT JOIN entries ON entries.lot = lots.id AND entries.amount > 0
        GROUP BY lots.id HAVING count(entries.id) <> 1 OR sum(entries.amount) <> lots.granted
    """,
    "nothing is negative": """
        SELECT organization FROM wallets WHERE least(available, held, open_holds) < 0
        UNION ALL SELECT id FROM lots WHERE least(available, held, granted) < 0
        UNION ALL SELECT id FROM holds WHERE least(amount, charged) < 0
    """,
    "replayed in its order, the journal never takes a lot below zero": """
        SELECT lot FROM (SELECT lot, sum(amount) OVER (PARTITION BY lot ORDER BY id) AS balance FROM entries
          WHERE lot IS NOT NULL) AS replayed WHERE balance < 0
    """,
    "a hold has ended exactly when it has an end, and charges at most what it held": """
        SELECT id FROM holds WHERE (state = 'HELD') <> (end_time IS NULL) OR (state = 'HELD') <> (charged IS NULL)
          OR charged > amount OR state = 'RELEASED' AND charged <> 0
    """,
    "a hold is the sum of what it took": """
        SELECT holds.id FROM holds LEFT JOIN hold_lots USING (video)
        GROUP BY holds.video HAVING holds.amount <> coalesce(sum(hold_lots.amount), 0)
    """,
    "what a hold charged is booked once, from the lots that it took": """
        SELECT holds.id FROM holds LEFT JOIN journals ON journals.video = holds.video AND journals.kind = 'CHARGE'
        LEFT JOIN entries ON entries.journal = journals.id AND entries.lot IS NOT NULL
        LEFT JOIN hold_lots ON hold_lots.video = holds.video AND hold_lots.lot = entries.lot
        GROUP BY holds.video HAVING count(DISTINCT journals.id) > 1
          OR coalesce(holds.charged, 0) <> -coalesce(sum(entries.amount), 0)
          OR bool_or(entries.id IS NOT NULL AND -entries.amount > coalesce(hold_lots.amount, 0))
    """,
    "a charge belongs to a captured hold of its wallet": """
        SELECT journals.id FROM journals LEFT JOIN holds USING (video) WHERE journals.kind = 'CHARGE'
          AND (holds.state IS DISTINCT FROM 'CAPTURED' OR holds.organization <> journals.organization)
    """,
    "a bar holds nothing": "SELECT id FROM holds WHERE organization IS NULL AND (amount <> 0 OR state <> 'RELEASED')",
}

_ALL = sa.text(
    " UNION ALL ".join(
        f"SELECT '{rule}' AS rule, key FROM (SELECT key FROM ({query}) AS broken (key) LIMIT 10) AS first"  # noqa: S608
        for rule, query in RULES.items()
    )
)


async def violations(session: AsyncSession) -> list[str]:
    """Return every breach as `rule: id`, at most ten of a rule; an empty list is the only good answer."""
    return [f"{row.rule}: {row.key}" for row in await session.execute(_ALL)]
