"""The process itself: its commands, its start and its end, and its tables."""

import asyncio
import os
import signal
import sys

import pytest

from deploy.local import ports, ready
from services.privacy import errors
from services.privacy.__main__ import main
from services.runtime import database, subject
from tests.support import tls
from tests.support.source import ROOT
from tests.support.waiting import until


async def start(command: str, **settings: object) -> asyncio.subprocess.Process:
    """Start the process with settings by their names."""
    environment = {f"FILMGATE_{name.upper()}": str(value) for name, value in settings.items()}
    environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.privacy", command, env=environment, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
    )


async def until_serving(port: int) -> None:
    await until(lambda: asyncio.to_thread(ready.healthy, port))


@pytest.mark.parametrize("arguments", [[], ["run"], ["serve", "migrate"]])
def test_an_unknown_command_says_how_to_use_it(arguments: list[str], capsys):
    assert main(arguments) == 2
    assert "serve|migrate" in capsys.readouterr().err


async def test_the_process_migrates_serves_tells_auth_and_ends(postgres, auth):
    owner, service = postgres.urls("privacy")
    migrate = await start("migrate", owner_database_url=owner)
    assert await migrate.wait() == 0
    free = ports.free()
    process = await start(
        "serve",
        database_url=service,
        home=tls.home(),
        privacy_port=free.privacy_port,
        health_port=free.privacy_health_port,
        metrics_port=0,
        auth_address=auth.address,
    )
    try:
        await until_serving(free.privacy_health_port)
        assert auth.in_force, "it serves before auth knows the policies"
        for told in auth.in_force:
            assert {policy.policy_kind for policy in told.policies} == {"privacy", "terms"}
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_the_process_does_not_start_on_an_old_schema(postgres):
    _, url = postgres.postgres.create_database("privacy_empty")
    process = await start("serve", database_url=url, home=tls.home())
    assert await asyncio.wait_for(process.wait(), 30) != 0


def test_every_column_names_its_element():
    for table in database.tables_of("privacy"):
        assert [str(column) for column in table.columns if not column.info.get("element")] == []
        assert all(subject.rule(column.info["element"]) for column in table.columns)


def test_every_reason_of_the_contract_has_its_kind():
    from filmgate.privacy.v1.error_reason_pb2 import ErrorReason
    from services.runtime.errors import COMMON

    assert set(ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"} == COMMON.keys() | errors.KIND.kinds.keys()
