"""The Policies service of privacy/v1/policies.proto."""

import datetime
from typing import Any

from filmgate.privacy.v1 import policies_pb2, policies_pb2_grpc
from services.privacy import errors
from services.privacy.policies import domain, jobs, publication, store
from services.privacy.policies.tables import PolicyRow, ReceiptRow
from services.runtime import caller, ids, pages
from services.runtime.caller import CALLER, PUBLIC, STAFF, Caller
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.jobs import wait

ACCESS = {
    "ListPolicies": PUBLIC,
    "GetPolicy": PUBLIC,
    "AcceptPolicy": CALLER("account"),
    "PublishPolicy": STAFF("operator"),
}


class Policies(policies_pb2_grpc.PoliciesServicer):
    """Publishes policies and records who accepted them."""

    def __init__(self, database: Database, clock: Clock, wait_seconds: float) -> None:
        self._database = database
        self._clock = clock
        self._wait_seconds = wait_seconds

    async def ListPolicies(
        self, request: policies_pb2.ListPoliciesRequest, _: Any
    ) -> policies_pb2.ListPoliciesResponse:
        """List the policies in force and announced, newest first, without their texts."""
        page, now = pages.page(request), self._clock.now()
        async with self._database.transaction() as session:
            rows = await store.page_of_current(session, now, page)
            in_force = await store.versions_in_force(session, now)
        rows, token = page.cut(rows, request, key=lambda row: (row.publish_time, row.id))
        policies = [_message(row, in_force, request.language, whole=False) for row in rows]
        return policies_pb2.ListPoliciesResponse(policies=policies, next_page_token=token)

    async def GetPolicy(self, request: policies_pb2.GetPolicyRequest, _: Any) -> policies_pb2.Policy:
        """Return a policy with its text. Raises POLICY_UNKNOWN."""
        async with self._database.transaction() as session:
            policy = await store.find(session, request.id)
            in_force = await store.versions_in_force(session, self._clock.now())
        if policy is None:
            raise errors.POLICY_UNKNOWN(policy=request.id)
        return _message(policy, in_force, request.language)

    async def AcceptPolicy(self, request: policies_pb2.AcceptPolicyRequest, _: Any) -> policies_pb2.Receipt:
        """Record that the caller's account accepts a text; returns once auth knows, or after two seconds.

        Raises POLICY_UNKNOWN, POLICY_TEXT_MISMATCH, POLICY_NOT_IN_FORCE.
        """
        async with self._database.transaction() as session:
            policy = await store.find(session, request.id)
            if policy is None:
                raise errors.POLICY_UNKNOWN(policy=request.id)
            digests = {text.language: text.sha256 for text in policy.texts}
            shown = (request.version, request.language, request.sha256)
            domain.check_shown(policy.id, policy.version, digests, shown=shown)
            receipt = await store.receipt_of(session, caller.current().account, policy.id)
            if receipt is None:
                in_force = await store.versions_in_force(session, self._clock.now())
                domain.check_acceptable(policy.version, in_force.get(policy.kind, 0))
                receipt = await store.accept(session, self._receipt(policy, request, caller.current()))
                await jobs.tell_acceptance(session, receipt, receipt.accept_time)
        await wait(self._database, jobs.key_of(receipt), self._wait_seconds)
        return _receipt_message(receipt)

    async def PublishPolicy(self, request: policies_pb2.PublishPolicyRequest, _: Any) -> policies_pb2.Policy:
        """Publish a version, or answer it when it stands already. Raises POLICY_VERSION_EXISTS, FIELD_INVALID."""
        texts = tuple(domain.Text(text.language, text.title, text.text) for text in request.texts)
        effective_time = request.effective_time.ToDatetime(tzinfo=datetime.UTC)
        draft = domain.Draft(request.kind, request.version, effective_time, texts)
        now = self._clock.now()
        async with self._database.transaction() as session:
            policy = await publication.publish(session, draft, now)
            if not publication.is_same(policy, draft) or policy.effective_time != effective_time:
                raise errors.POLICY_VERSION_EXISTS(version=draft.version)
            in_force = await store.versions_in_force(session, now)
        return _message(policy, in_force)

    def _receipt(self, policy: PolicyRow, request: policies_pb2.AcceptPolicyRequest, person: Caller) -> ReceiptRow:
        return ReceiptRow(
            id=ids.new("rcp"),
            account=person.account,
            policy=policy.id,
            kind=policy.kind,
            version=policy.version,
            language=request.language,
            sha256=request.sha256,
            accept_time=self._clock.now(),
            method="key" if person.key else "session",
        )


def _message(
    policy: PolicyRow, in_force: dict[str, int], language: str = "", *, whole: bool = True
) -> policies_pb2.Policy:
    """Write a policy; `whole` with its texts, else with their titles and digests only."""
    state = domain.state(policy.version, in_force.get(policy.kind, 0))
    message = policies_pb2.Policy(
        name=f"policies/{policy.id}",
        id=policy.id,
        kind=policy.kind,
        version=policy.version,
        state=state.value,
    )
    message.effective_time.FromDatetime(policy.effective_time)
    message.publish_time.FromDatetime(policy.publish_time)
    shown = domain.language_of(language, [text.language for text in policy.texts])
    for text in policy.texts:
        if text.language in shown:
            body = text.text if whole else ""
            message.texts.add(language=text.language, title=text.title, text=body, sha256=text.sha256)
    return message


def _receipt_message(receipt: ReceiptRow) -> policies_pb2.Receipt:
    message = policies_pb2.Receipt(
        name=f"receipts/{receipt.id}",
        id=receipt.id,
        account=receipt.account,
        policy=receipt.policy,
        kind=receipt.kind,
        version=receipt.version,
        language=receipt.language,
        sha256=receipt.sha256,
        method=receipt.method,
    )
    message.accept_time.FromDatetime(receipt.accept_time)
    return message
