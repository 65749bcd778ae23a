"""Billing against its reference model: random orders, ends, duplicates and races on the real PostgreSQL.

Of operations at once some order, one after the other, must explain every answer and the state afterwards. Where several
orders do (two holds may have shared out the same lots either way), all they lead to is kept, until something tells.
"""

import asyncio
import copy
import dataclasses
import datetime
import itertools
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from filmgate.billing.v1 import wallets_pb2
from services.billing.prices import domain as prices
from services.runtime import ids
from services.runtime.database import Database
from services.runtime.errors import Failure
from tests.support.bank import Bank, micros, order, rules
from tests.support.clock import START, FakeClock
from tests.support.ledger_model import Model, ModelBook, ModelLot, Want

LIMIT = 2
SHARES = dict.fromkeys(prices.OUTCOMES, 0) | {"SUCCEEDED": 100, "CANCELLED_RUNNING": 33, "MODERATED_AFTER": 50}
BOOKS = {
    1: ModelBook(-(10**9), {"480p": Decimal("1.3"), "720p": Decimal("2.5")}, SHARES),
    2: ModelBook(3600, {"480p": Decimal("1.5"), "720p": Decimal(0)}, SHARES | {"CANCELLED_RUNNING": 67}),
}
TABLES = "wallets, lots, holds, hold_lots, journals, entries, jobs"
ORGANIZATIONS = [ids.new("org") for _ in range(2)]

wants = st.builds(
    lambda *fields: Want(ids.new("vid"), *fields),
    st.sampled_from([ORGANIZATIONS[0], *ORGANIZATIONS]),
    st.sampled_from([*["480p", "720p"] * 6, "8k"]),
    st.integers(1, 4),
    st.sampled_from([*[0] * 9, 1, 2, 3]),
    st.sampled_from([*[None] * 8, 2, 5]),
)
"""Orders of new videos, mostly such as can be held; version 0 stands for the one in force."""
outcomes = st.sampled_from(["SUCCEEDED", "MODERATED_AFTER", "CANCELLED_RUNNING", "INFRASTRUCTURE_ERROR", None])


class Machine(RuleBasedStateMachine):
    """One run: an empty bank with two customers."""

    run: Callable[..., Any]
    opened: Callable[[FakeClock], Bank]
    empty: Callable[[], Any]

    orders = Bundle("orders")

    @initialize()
    def begin(self) -> None:
        self.run(type(self).empty())
        self.clock = FakeClock()
        self.bank = type(self).opened(self.clock)
        self.models = [Model(LIMIT, BOOKS)]
        for organization in ORGANIZATIONS:
            self.give(organization, 8, "CASH", 100, None)
            self.give(organization, 7, "PROMOTIONAL", 100, 60)

    @rule(
        organization=st.sampled_from([ORGANIZATIONS[0], *ORGANIZATIONS]),
        amount=st.sampled_from([1, 3, 7, 20]),
        kind=st.sampled_from(["CASH", "PROMOTIONAL"]),
        priority=st.sampled_from([1, 100, 100]),
        seconds=st.sampled_from([None, 60, 60, 3600]),
    )
    def give_more(self, **lot):
        self.give(**lot)

    def give(self, organization, amount, kind, priority, seconds):
        lot = self.run(self.bank.give(organization, amount, kind=kind, priority=priority, seconds=seconds))
        end, now = None if seconds is None else self.now + seconds, self.now
        for model in self.models:
            model.lots[lot] = ModelLot(lot, organization, kind == "PROMOTIONAL", priority, end, now, amount)
        self.at_once([])

    @rule(seconds=st.sampled_from([1, 59, 60, 60, 600, 3600]))
    def wait(self, seconds):
        self.clock.advance(seconds)
        for model in self.models:
            model.now += seconds
        self.at_once([])

    @rule(target=orders, want=wants)
    def authorize(self, want):
        want = self.dated(want)
        self.at_once([want])
        return want

    @rule(target=orders, want=wants, outcome=outcomes)
    def end_before_it_began(self, want, outcome):
        want = self.dated(want)
        self.at_once([(want.video, outcome)])
        return want

    @rule(want=orders, times=st.integers(1, 3))
    def ask_again(self, want, times):
        self.at_once([want] * times)

    @rule(want=orders, other=wants)
    def ask_for_other_terms(self, want, other):
        self.at_once([dataclasses.replace(self.dated(other), video=want.video)])

    @rule(want=orders, outcome=outcomes, times=st.integers(1, 3))
    def end(self, want, outcome, times):
        self.at_once([(want.video, outcome)] * times)

    @rule()
    def sweep(self):
        self.at_once(["sweep"])

    @rule(target=orders, want=wants, outcome=outcomes)
    def race_for_one_video(self, want, outcome):
        want = self.dated(want)
        self.at_once([want, (want.video, outcome), (want.video, None)])
        return want

    @rule(
        target=orders, new=st.lists(wants, min_size=1, max_size=2), want=orders, outcome=outcomes, sweep=st.booleans()
    )
    def race(self, new, want, outcome, sweep):
        new = [self.dated(want) for want in new]
        self.at_once([*new, (want.video, outcome), *(["sweep"] if sweep else [])])
        return new[0]

    @property
    def now(self):
        return self.models[0].now

    def dated(self, want):
        """Put the version in force for version 0, as a customer who has just had their quote."""
        return want if want.version else dataclasses.replace(want, version=1 + (self.now >= BOOKS[2].begins))

    def at_once(self, several):
        """Do all at once, and find the orders of the model that explain what came of it."""
        answers, seen = self.run(self.done(several))
        explaining = []
        for before, turn in itertools.product(self.models, itertools.permutations(range(len(several)))):
            model = copy.deepcopy(before)
            results = {place: apply(model, several[place]) for place in turn}
            told = answers == [results[place] for place in range(len(several))] and seen == view(model)
            if told and model not in explaining:
                explaining.append(model)
        assert explaining, f"no order explains {answers} and {seen}; from {view(self.models[0])} by {several}"
        self.models = explaining

    async def done(self, several):
        answers = await asyncio.gather(*(self.do(operation) for operation in several))
        return answers, await self.seen()

    async def do(self, operation):
        """Return as the model does: (state, amount, charged), or a reason."""
        try:
            if operation == "sweep":
                await self.bank.sweep.sweep()
                return None
            if isinstance(operation, Want):
                return result(await self.bank.authorize(request(operation, self.clock)))
            video, outcome = operation
            return result(await (self.bank.capture(video, outcome) if outcome else self.bank.release(video)))
        except Failure as failure:
            return failure.kind.reason

    async def seen(self):
        return {organization: await wallet(self.bank, organization) for organization in ORGANIZATIONS}

    @invariant()
    def nothing_is_wrong(self):
        """All rules of the ledger, after every step; what customers see is compared by the steps themselves."""
        if hasattr(self, "bank"):
            assert self.run(self.bank.violations()) == []


def apply(model: Model, operation: Any) -> Any:
    if operation == "sweep":
        return model.sweep()
    return model.authorize(operation) if isinstance(operation, Want) else model.end(*operation)


def view(model: Model) -> Any:
    """What customers see of the model, in the form of `wallet`."""
    return {
        organization: (
            sum(lot.available for lot in model.spendable(organization)),
            model.open_videos(organization),
            [
                (lot.id, 0 if lot.is_over(model.now) else lot.available, lot.held)
                for lot in model.in_order(organization)
                if lot.available or lot.held
            ],
            model.total(organization),
        )
        for organization in ORGANIZATIONS
    }


async def wallet(bank: Bank, organization: str) -> Any:
    found = await bank.wallet(organization)
    lots = [(lot.id, micros(lot.available), micros(lot.held)) for lot in found.lots]
    page = await bank.transactions(organization, page_size=200)
    total = sum(micros(line.amount) for line in page.transactions)
    return micros(found.available), found.open_videos, lots, total


def request(want: Want, clock: FakeClock) -> wallets_pb2.AuthorizeRequest:
    asked = order(
        want.organization, clock, video=want.video, resolution=want.resolution, duration_seconds=want.seconds,
        price_version=want.version,
    )  # fmt: skip
    if want.most is not None:
        asked.max_price.currency_code, asked.max_price.nanos = "CNY", want.most * 1000
    return asked


def result(hold: wallets_pb2.Hold) -> tuple[str, int, int | None]:
    charged = micros(hold.charged) if hold.HasField("charged") else None
    return wallets_pb2.Hold.State.Name(hold.state), micros(hold.amount), charged


def write_books(folder: Any) -> None:
    for version, book in BOOKS.items():
        time = START + datetime.timedelta(seconds=max(book.begins, -(10**6)))
        content = {
            "version": version,
            "effective_time": time.isoformat(),
            "currency": "CNY",
            "rates": {"animatic": {name: f"{rate / 10**6:f}" for name, rate in book.rates.items()}},
            "outcomes": book.shares,
        }
        (folder / f"{version}.yaml").write_text(yaml.safe_dump(content), "utf-8")


@pytest.mark.timeout(600)  # a failure is shrunk before it is shown
def test_billing_does_what_the_model_does(postgres, tmp_path):
    write_books(tmp_path)
    owner_url, url = postgres.urls("billing")
    with asyncio.Runner() as runner:
        database, owner = Database(url), Database(owner_url)

        async def empty() -> None:
            async with owner.transaction() as session:
                await session.execute(text(f"TRUNCATE {TABLES}"))

        def opened(clock: FakeClock) -> Bank:
            bank = Bank(database, clock, rules(open_videos=LIMIT), 1_000_000)
            runner.run(bank.publish(tmp_path))
            return bank

        Machine.run, Machine.opened, Machine.empty = staticmethod(runner.run), staticmethod(opened), staticmethod(empty)
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=50, stateful_step_count=30, deadline=None, database=None, print_blob=True,
                suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
            ),
        )  # fmt: skip
        runner.run(database.close())
        runner.run(owner.close())
