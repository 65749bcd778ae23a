"""Rules of policies: their states, what may be published, what may be accepted."""

import dataclasses
import datetime
import enum
import hashlib
from collections.abc import Mapping, Sequence

from services.privacy import errors
from services.runtime.errors import FIELD_INVALID

LANGUAGES = ("zh", "en")
"""Languages that every policy is published in; more are allowed."""


class State(enum.Enum):
    """State of a version, worked out from the clock and never stored."""

    ANNOUNCED = "ANNOUNCED"
    IN_FORCE = "IN_FORCE"
    SUPERSEDED = "SUPERSEDED"


@dataclasses.dataclass(frozen=True)
class Text:
    """A policy in one language."""

    language: str
    title: str
    text: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the UTF-8 bytes of the text, 64 hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Draft:
    """A version to be published."""

    kind: str
    version: int
    effective_time: datetime.datetime
    texts: tuple[Text, ...]

    @property
    def mark(self) -> frozenset[tuple[str, str, str]]:
        """What two versions must share to be the same: each language with its title and text."""
        return frozenset((text.language, text.title, text.sha256) for text in self.texts)


def state(version: int, in_force: int) -> State:
    """Return the state of a version, given the version in force: the newest whose effective time has come (0: none).

    A newer one is announced; an older one is superseded, also one that a still newer version overtook before its day.
    """
    if version == in_force:
        return State.IN_FORCE
    return State.ANNOUNCED if version > in_force else State.SUPERSEDED


def check_draft(draft: Draft, newest: int, now: datetime.datetime) -> None:
    """Raise FIELD_INVALID unless the draft follows the newest version, is not for the past, and has every language."""
    if draft.version != newest + 1:
        raise FIELD_INVALID(field="version", limit=f"be {newest + 1}, one more than the newest")
    if draft.effective_time < now:
        raise FIELD_INVALID(field="effective_time", limit="not be in the past")
    check_languages([text.language for text in draft.texts])


def check_languages(languages: Sequence[str]) -> None:
    """Raise FIELD_INVALID for a language that stands twice or is missing."""
    if len(set(languages)) < len(languages):
        raise FIELD_INVALID(field="texts", limit="not have a language twice")
    if missing := set(LANGUAGES) - set(languages):
        raise FIELD_INVALID(field="texts", limit=f"have the language {', '.join(sorted(missing))}")


def check_shown(policy: str, version: int, digests: Mapping[str, str], *, shown: tuple[int, str, str]) -> None:
    """Raise POLICY_TEXT_MISMATCH unless `shown` (version, language, SHA-256) is a text of this policy.

    `digests` holds the SHA-256 of the text by language.
    """
    shown_version, language, sha256 = shown
    if shown_version != version or digests.get(language) != sha256:
        raise errors.POLICY_TEXT_MISMATCH(policy=policy, version=shown_version)


def check_acceptable(version: int, in_force: int) -> None:
    """Raise POLICY_NOT_IN_FORCE for a superseded version; what is announced may be accepted ahead."""
    if state(version, in_force) is State.SUPERSEDED:
        raise errors.POLICY_NOT_IN_FORCE(version=version, in_force=in_force)


def language_of(asked: str, offered: Sequence[str]) -> list[str]:
    """Return the languages to show: the one asked for (`zh-CN` means `zh`), or all when it is not offered."""
    primary = asked.partition("-")[0].lower()
    return [primary] if primary in offered else list(offered)
