"""What auth learns of policies, and when: over real gRPC, with auth running, stopped, and back again."""

import asyncio
import contextlib
import datetime
import shutil

import pytest

from filmgate.privacy.v1 import policies_pb2, policies_pb2_grpc
from services.privacy.__main__ import registrations
from services.privacy.clients import Standings
from services.privacy.config import PrivacySettings
from services.privacy.policies import first
from services.privacy.policies.jobs import Handlers, Told
from services.runtime import channels
from services.runtime.clock import SystemClock
from services.runtime.config import StartFault
from services.runtime.runner import Runner
from tests.support import rpc
from tests.support.clock import START


@pytest.fixture
async def handlers(database, auth):
    """The handlers of a process whose auth is the test's."""
    channel = channels.connect("auth", rpc.settings("privacy", PrivacySettings, auth_address=auth.address))
    yield Handlers(database, Standings(channel)).by_kind()
    await channel.close()


@pytest.fixture
async def runner(database, handlers, clock):
    """Works off what is due by the clock of the test."""
    return Runner(database, handlers, clock=clock)


@contextlib.asynccontextmanager
async def running(runner: Runner):
    """Let a runner work in the background, as the process does."""
    task = asyncio.create_task(runner.run())
    try:
        yield
    finally:
        await runner.drain(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def accept(stub, clock) -> policies_pb2.Receipt:
    listed = await stub.ListPolicies(policies_pb2.ListPoliciesRequest(language="en"))
    policy = next(policy for policy in listed.policies if policy.kind == "terms")
    request = policies_pb2.AcceptPolicyRequest(
        id=policy.id, version=policy.version, sha256=policy.texts[0].sha256, language="en"
    )
    return await stub.AcceptPolicy(request, metadata=rpc.as_caller("privacy", clock=clock))


def versions(told) -> list[tuple[str, int]]:
    return sorted((policy.policy_kind, policy.version) for policy in told.policies)


async def test_auth_is_told_all_first_policies_at_once(served, runner, auth):
    """Never the one without the other: what auth is told is all that a core call needs."""
    assert await runner.run_due() == len(auth.in_force) > 0
    for told in auth.in_force:
        assert versions(told) == [("privacy", 1), ("terms", 1)]
        assert {policy.effective_time.ToDatetime(datetime.UTC) for policy in told.policies} == {START}


async def test_no_job_finds_a_part_of_the_first_policies(database, runner, auth, clock, tmp_path):
    """A start that ends between two policies has published none and tells none."""
    texts = shutil.copytree(PrivacySettings().policy_texts, tmp_path / "texts")
    (texts / "terms" / "0001.zh.md").unlink()  # privacy, the first of the two, is whole
    with pytest.raises(StartFault):
        await first.publish_all(database, texts, clock)
    assert await runner.run_due() == 0
    assert auth.in_force == []


async def test_each_start_tells_auth_again_and_is_ready_only_then(served, database, runner, auth, clock):
    """Auth's database may be younger than privacy's: it would wait for ever to be told."""
    await runner.run_due()
    before = len(auth.in_force)
    told = Told(database, await first.publish_all(database, PrivacySettings().policy_texts, clock))
    with pytest.raises(RuntimeError, match="policies in force"):
        await told.ready()
    assert await runner.run_due() == 1
    await told.ready()
    assert [versions(request) for request in auth.in_force[before:]] == [[("privacy", 1), ("terms", 1)]]


async def test_a_publication_is_pushed_at_once_with_its_effective_time(served, runner, auth):
    await runner.run_due()
    operator = served.stub(policies_pb2_grpc.PoliciesStub, peer="operator")
    request = policies_pb2.PublishPolicyRequest(kind="terms", version=2)
    request.effective_time.FromDatetime(START + datetime.timedelta(days=30))
    for language in ("zh", "en"):
        request.texts.add(language=language, title="t", text="text")
    policy = await operator.PublishPolicy(request)
    assert await runner.run_due() == 1
    assert versions(auth.in_force[-1]) == [("privacy", 1), ("terms", 1), ("terms", 2)]
    told = next(told for told in auth.in_force[-1].policies if told.version == 2)
    assert (told.policy, told.effective_time) == (policy.id, request.effective_time)


async def test_an_acceptance_is_delivered_with_its_receipt(served, runner, auth, clock):
    receipt = await accept(served.stub(policies_pb2_grpc.PoliciesStub), clock)
    await runner.run_due()
    assert len(auth.accepted) == 1
    told = auth.accepted[0]
    assert (told.account, told.policy_kind, told.version) == (rpc.ACCOUNT, "terms", 1)
    assert (told.receipt, told.accept_time) == (receipt.id, receipt.accept_time)


async def test_accepting_again_tells_auth_nothing_new(served, runner, auth, clock):
    stub = served.stub(policies_pb2_grpc.PoliciesStub)
    await accept(stub, clock)
    await runner.run_due()
    await accept(stub, clock)
    assert await runner.run_due() == 0
    assert len(auth.accepted) == 1


async def test_with_auth_stopped_the_acceptance_stands_and_is_delivered_later(served, runner, auth, clock):
    await auth.stop()
    receipt = await accept(served.stub(policies_pb2_grpc.PoliciesStub), clock)
    assert receipt.id
    await runner.run_due()
    assert auth.accepted == []
    clock.advance(60)
    await runner.run_due()
    assert auth.accepted == []
    await auth.start()
    async with asyncio.timeout(60):  # the channel looks for its peer at pauses of its own
        while not auth.accepted:
            clock.advance(120)
            await runner.run_due()
    assert [told.receipt for told in auth.accepted] == [receipt.id]


async def test_the_answer_comes_after_auth_knows(database, handlers, auth):
    clock = SystemClock()
    settings = rpc.settings("privacy", PrivacySettings, acceptance_wait_seconds=10)
    await first.publish_all(database, settings.policy_texts, clock)
    async with (
        rpc.serve("privacy", registrations(settings, database, clock)) as served,
        running(Runner(database, handlers)),
    ):
        receipt = await accept(served.stub(policies_pb2_grpc.PoliciesStub), None)
        assert [told.receipt for told in auth.accepted] == [receipt.id]
