"""Rules of policies, without a database."""

import datetime
import hashlib

import pytest

from services.privacy.policies import domain
from services.privacy.policies.domain import Draft, State, Text
from services.runtime.errors import Failure
from tests.support.clock import START

BOTH = (Text("zh", "隐私", "中文"), Text("en", "Privacy", "English"))


def draft(version: int = 1, seconds: float = 0, texts: tuple[Text, ...] = BOTH) -> Draft:
    return Draft("privacy", version, START + datetime.timedelta(seconds=seconds), texts)


def reason_of(function, *arguments, **named) -> str:
    with pytest.raises(Failure) as found:
        function(*arguments, **named)
    return found.value.kind.reason


@pytest.mark.parametrize(
    ("version", "in_force", "state"),
    [
        (1, 0, State.ANNOUNCED),
        (1, 1, State.IN_FORCE),
        (2, 1, State.ANNOUNCED),
        (1, 2, State.SUPERSEDED),
        (1, 3, State.SUPERSEDED),
    ],
)
def test_state_follows_from_the_version_in_force(version: int, in_force: int, state: State):
    assert domain.state(version, in_force) is state


def test_a_draft_that_follows_the_newest_version_is_good():
    domain.check_draft(draft(1), 0, START)
    domain.check_draft(draft(8, seconds=1), 7, START)


@pytest.mark.parametrize(
    ("faulty", "newest", "field"),
    [
        (draft(1), 1, "version"),
        (draft(3), 1, "version"),
        (draft(1, seconds=-0.000001), 0, "effective_time"),
        (draft(texts=BOTH[:1]), 0, "texts"),
        (draft(texts=BOTH[1:]), 0, "texts"),
        (draft(texts=(*BOTH, BOTH[0])), 0, "texts"),
    ],
)
def test_a_wrong_draft_names_its_field(faulty: Draft, newest: int, field: str):
    with pytest.raises(Failure) as found:
        domain.check_draft(faulty, newest, START)
    assert found.value.kind.reason == "FIELD_INVALID"
    assert found.value.metadata["field"] == field


def test_a_third_language_is_allowed():
    domain.check_draft(draft(texts=(*BOTH, Text("fr", "Vie privée", "Français"))), 0, START)


def test_digest_is_of_the_bytes_as_they_are():
    assert Text("zh", "", "中文\r\n").sha256 == hashlib.sha256("中文\r\n".encode()).hexdigest()


def test_a_title_or_a_letter_makes_another_version():
    assert draft().mark == draft(texts=BOTH[::-1]).mark
    assert draft().mark != draft(texts=(BOTH[0], Text("en", "privacy", "English"))).mark
    assert draft().mark != draft(texts=(BOTH[0], Text("en", "Privacy", "English "))).mark


@pytest.mark.parametrize("shown", [(2, "en", "aa"), (1, "zh", "aa"), (1, "fr", "aa"), (1, "en", "bb"), (1, "EN", "aa")])
def test_only_what_was_published_can_have_been_shown(shown: tuple[int, str, str]):
    domain.check_shown("pol_1", 1, {"en": "aa", "zh": "bb"}, shown=(1, "en", "aa"))
    arguments = ("pol_1", 1, {"en": "aa", "zh": "bb"})
    assert reason_of(domain.check_shown, *arguments, shown=shown) == "POLICY_TEXT_MISMATCH"


def test_superseded_versions_cannot_be_accepted():
    domain.check_acceptable(1, 1)
    domain.check_acceptable(2, 1)
    assert reason_of(domain.check_acceptable, 1, 2) == "POLICY_NOT_IN_FORCE"


@pytest.mark.parametrize(
    ("asked", "shown"),
    [("zh", ["zh"]), ("zh-CN", ["zh"]), ("EN", ["en"]), ("", ["en", "zh"]), ("fr", ["en", "zh"]), ("-", ["en", "zh"])],
)
def test_language_falls_back_to_all(asked: str, shown: list[str]):
    assert domain.language_of(asked, ["en", "zh"]) == shown
