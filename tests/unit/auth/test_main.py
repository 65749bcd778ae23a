"""The process: its commands, its settings, its database."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.local import ports, ready
from filmgate.auth.v1 import tokens_pb2, tokens_pb2_grpc
from services.auth.__main__ import main
from services.auth.config import AuthSettings
from services.runtime import database
from services.runtime.config import from_env
from tests.support import tls
from tests.support.source import ROOT
from tests.support.waiting import until


@pytest.mark.parametrize("arguments", [[], ["start"], ["serve", "now"]])
def test_an_unknown_command_ends_with_2(arguments, capsys):
    assert main(arguments) == 2
    assert "serve | migrate" in capsys.readouterr().err


def test_settings_come_from_the_environment():
    settings = from_env(AuthSettings, {"FILMGATE_AUTH_PORT": "9001", "FILMGATE_FEED_SECONDS": "0.1"})
    assert (settings.name, settings.port, settings.health_port) == ("auth", 9001, 8111)
    assert settings.feed_seconds == 0.1
    assert settings.service_accounts is None


async def test_the_tables_are_those_of_the_migrations(postgres):
    own = {table.name for table in database.tables_of("auth")}
    engine = create_async_engine(postgres.urls("auth")[0])

    def compare(connection: sa.Connection) -> list[object]:
        options = {"include_name": lambda name, kind, _: kind != "table" or name in own}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), database.Base.metadata)
        return [row for row in found if getattr(row[1] if isinstance(row, tuple) else None, "name", "") in own]

    async with engine.connect() as connection:
        assert await connection.run_sync(compare) == []
    await engine.dispose()


async def test_the_service_role_changes_no_table(postgres):
    async with postgres.database("auth") as opened:
        for statement in ("CREATE TABLE x (y int)", "DROP TABLE keys", "ALTER TABLE keys DISABLE TRIGGER ALL"):
            with pytest.raises(ProgrammingError):
                async with opened.transaction() as session:
                    await session.execute(sa.text(statement))


async def start(command: str, folder: Path, **fields: object) -> asyncio.subprocess.Process:
    """Start the process with settings by their names; its secrets and messages lie in `folder`."""
    named = {"home": tls.home(), "secrets": folder / "secrets", "keys": folder / "keys", "outbox": folder / "outbox"}
    environment = {f"FILMGATE_{name.upper()}": str(value) for name, value in {**named, **fields}.items()}
    environment |= {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.auth", command, env=environment, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
    )


async def until_serving(port: int) -> None:
    await until(lambda: asyncio.to_thread(ready.healthy, port))


async def test_the_process_migrates_serves_and_ends(postgres, tmp_path):
    owner, service = postgres.urls("auth")
    assert await (await start("migrate", tmp_path, owner_database_url=owner)).wait() == 0
    free = ports.free()
    port, health = free.auth_port, free.auth_health_port
    process = await start("serve", tmp_path, database_url=service, auth_port=port, health_port=health, metrics_port=0)
    try:
        await until_serving(health)
        credentials = grpc.ssl_channel_credentials(*(tls.files("billing")[index] for index in (0, 2, 1)))
        options = [("grpc.ssl_target_name_override", "auth")]
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
            listed = await tokens_pb2_grpc.TokensStub(channel).ListCallerKeys(tokens_pb2.ListCallerKeysRequest())
        assert len(listed.keys) == 1
        assert {path.name for path in (tmp_path / "secrets").iterdir()} == {"pepper", "signing_key.pem"}
    finally:
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_an_old_database_stops_the_start(postgres, tmp_path):
    _, url = postgres.postgres.create_database("auth_empty")
    process = await start("serve", tmp_path, database_url=url)
    assert await asyncio.wait_for(process.wait(), 60) != 0
