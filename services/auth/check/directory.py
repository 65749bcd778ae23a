"""What the authorizer knows, in memory: credentials, freezes, acceptances, policies in force.

Every entry bears the version of its row; a reading that is older than what is known changes nothing.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from services.auth.check.domain import Frozen, Policy, Principal

PRUNE_AFTER_SECONDS = 3600.0


@dataclasses.dataclass(frozen=True, slots=True)
class Accepted:
    """The newest version of a kind of policy that an account has accepted."""

    version: int
    number: int


@dataclasses.dataclass
class Changes:
    """What one reading of the feed found."""

    principals: list[Principal] = dataclasses.field(default_factory=list)
    freezes: list[tuple[str, str, Frozen]] = dataclasses.field(default_factory=list)
    """(account, scope, freeze)"""
    acceptances: list[tuple[str, str, Accepted]] = dataclasses.field(default_factory=list)
    """(account, kind, acceptance)"""
    policies: list[Policy] = dataclasses.field(default_factory=list)
    told: bool = False
    """Whether privacy has told its policies."""


class Directory:
    """Looked up by every Check; written by the feed alone. All of it happens in one event loop, between awaits."""

    def __init__(self) -> None:
        self._by_digest: dict[bytes, tuple[Principal, float]] = {}
        self._principals: dict[str, Principal] = {}
        self._freezes: dict[str, dict[str, Frozen]] = {}
        self._accepted: dict[str, dict[str, Accepted]] = {}
        self._policies: dict[tuple[str, int], Policy] = {}
        self.policies: Mapping[str, list[Policy]] = {}
        """Policies by kind."""
        self.told = False
        """Whether privacy has told its policies; until then `policies` does not say what core calls need."""

    def __len__(self) -> int:
        """Number of API keys and sessions that are known, revoked ones too."""
        return len(self._principals)

    def find(self, digest: bytes) -> tuple[Principal, float] | None:
        """Return the owner of a secret by its digest, with the secret's end (seconds since 1970)."""
        return self._by_digest.get(digest)

    def freezes(self, account: str) -> Mapping[str, Frozen]:
        """Return the freezes of an account by scope, lifted and ended ones too."""
        return self._freezes.get(account, {})

    def accepted(self, account: str) -> Mapping[str, int]:
        """Return the newest accepted version by kind of policy."""
        return {kind: accepted.number for kind, accepted in self._accepted.get(account, {}).items()}

    def apply(self, changes: Changes) -> None:
        """Take a reading in. Of two readings of a row the newer version wins, in whatever order they come."""
        for principal in changes.principals:
            self._take(principal)
        for account, scope, freeze in changes.freezes:
            scopes = self._freezes.setdefault(account, {})
            if scope not in scopes or scopes[scope].version < freeze.version:
                scopes[scope] = freeze
        for account, kind, accepted in changes.acceptances:
            kinds = self._accepted.setdefault(account, {})
            if kind not in kinds or kinds[kind].version < accepted.version:
                kinds[kind] = accepted
        self._take_policies(changes.policies)
        self.told = self.told or changes.told

    def prune(self, now: float) -> None:
        """Forget sessions whose secrets ended an hour ago, so that memory does not grow for ever."""
        before = now - PRUNE_AFTER_SECONDS
        for principal in list(self._principals.values()):
            if principal.kind == "session" and all(end < before for _, end in principal.digests):
                self._drop(principal)

    def _take(self, principal: Principal) -> None:
        known = self._principals.get(principal.id)
        if known is not None:
            if known.version >= principal.version:
                return
            self._drop(known)
        self._principals[principal.id] = principal
        for digest, end in principal.digests:
            self._by_digest[digest] = (principal, end)

    def _drop(self, principal: Principal) -> None:
        self._principals.pop(principal.id, None)
        for digest, _ in principal.digests:
            self._by_digest.pop(digest, None)

    def _take_policies(self, policies: Iterable[Policy]) -> None:
        changed = False
        for policy in policies:
            known = self._policies.get((policy.kind, policy.number))
            if known is None or known.version < policy.version:
                self._policies[policy.kind, policy.number] = policy
                changed = True
        if changed:
            by_kind: dict[str, list[Policy]] = {}
            for policy in self._policies.values():
                by_kind.setdefault(policy.kind, []).append(policy)
            self.policies = by_kind
