"""Whose call it is, as the edge's access log is told."""

import pytest

from filmgate.auth.v1 import accounts_pb2
from filmgate.auth.v1.accounts_pb2_grpc import AccountsStub
from tests.support.checks import CREATE, GET, check


@pytest.mark.promise("KLING-A3.9")
async def test_each_call_is_told_to_be_its_accounts_by_the_key_or_session_that_made_it(auth):
    person, operator = await auth.register(), auth.stub(AccountsStub, "operator")
    made = await auth.key(person)
    shown = {made.secret: made.id, person.access: person.session}
    for refused in (False, True):
        for secret, credential in shown.items():
            for verb, method in (("GET", GET), ("POST", CREATE)):
                answer = await check(auth, secret, verb=verb, method=method)
                assert bool(answer.status.code) is refused
                assert dict(answer.dynamic_metadata) == {"account": person.account, "credential": credential}
        freeze = accounts_pb2.FreezeAccountRequest(account=person.account, scope="ALL", reason="abuse")
        await operator.FreezeAccount(freeze)
    assert not (await check(auth, "nobody")).dynamic_metadata
