"""Every interleaving of the protocol of section 5, with a crash, a freeze or a lost answer at each step."""

import dataclasses

import pytest
import yaml

from services.billing.prices import domain as prices
from tests.protocol import explorer, invariants, mutations
from tests.protocol.model import RIGHT
from tests.protocol.rules import Rules, Scope
from tests.protocol.scopes import SMALL
from tests.protocol.state import CHARGED, OUTCOMES
from tests.support.source import ROOT

pytestmark = [pytest.mark.timeout(900), pytest.mark.group("protocol")]  # 900: a laden machine


def explore(rules: Rules, scope: Scope) -> explorer.Explored:
    return explorer.explore(rules, scope, invariants.always, invariants.at_the_end)


@pytest.mark.parametrize("scope", SMALL, ids=lambda scope: scope.name)
def test_nothing_goes_wrong_in_any_order(scope):
    found = explore(RIGHT, scope)
    print(f"{scope.name}: {len(found.states):,} states, {found.transitions:,} transitions, {scope.faults} faults")
    assert found.ends


@pytest.mark.parametrize("name", mutations.MUTATIONS)
def test_each_mutation_is_found_out(name):
    found = mutations.harm(mutations.without(mutations.MUTATIONS[name]))
    assert found is not None
    print(f"{name}: {found.what}, after {len(found.steps)} steps: {'; '.join(found.steps)}")


@pytest.mark.parametrize("name", mutations.NETS)
def test_a_second_rule_catches_what_the_first_lets_through(name):
    first, second = mutations.NETS[name]
    assert mutations.harm(mutations.without(first), mutations.QUICK[:2]) is None
    assert mutations.harm(mutations.without(first, second), mutations.QUICK[:2]) is not None


def test_each_rule_of_the_protocol_is_broken_by_a_mutation():
    broken = {*mutations.MUTATIONS.values(), *(first for first, _ in mutations.NETS.values())}
    assert broken == {field.name for field in dataclasses.fields(Rules)}


def test_the_same_outcomes_are_charged_as_in_the_price_book():
    books = sorted((ROOT / "services/billing/prices/books").glob("*.yaml"))
    table = prices.parse(yaml.safe_load(books[-1].read_text("utf-8"))).outcomes
    assert {name for name in OUTCOMES if name and table[name]} == {OUTCOMES[outcome] for outcome in CHARGED}


def test_a_trace_is_a_shortest_one():
    found = mutations.harm(mutations.without("row_goes_before_release"))
    assert found.steps == [
        "Tx 1 Admission.begin",
        "Authorize Ledger.hold",
        "freeze: the clean-up becomes due while the admission goes on",
        "early: Release Ledger.end",
        "Tx 2 Admission.accept",
    ]
