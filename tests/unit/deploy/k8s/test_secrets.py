"""The Secrets for the overlay dev: whole, new each time, and a PostgreSQL made from them lets in whom it should."""

import asyncpg
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import make_url

from deploy.k8s import references, secrets
from deploy.local.postgres import Postgres


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, str]]:
    return {one["metadata"]["name"]: one["stringData"] for one in secrets.make()}


@pytest.fixture(scope="module")
def server(tmp_path_factory, made):
    """A PostgreSQL whose first start has run what the Secret says."""
    postgres = Postgres(tmp_path_factory.mktemp("pg"))
    postgres.start()
    postgres.sql(made["postgresql"]["databases.sql"])
    yield postgres
    postgres.stop()


def test_they_are_what_operators_are_asked_for_less_the_object_store(made):
    assert {name: set(data) for name, data in made.items()} == {
        name: keys for name, keys in references.provided().items() if name != "objects"
    }


def test_no_two_are_alike(made):
    again = {one["metadata"]["name"]: one["stringData"] for one in secrets.make()}
    assert not [name for name, data in made.items() for key in data if again[name][key] == data[key]]
    assert len(bytes.fromhex(made["auth-secrets"]["pepper"])) == 32
    assert load_pem_private_key(made["auth-secrets"]["signing_key-1.pem"].encode(), None)


def test_the_command_writes_objects(capsys):
    assert secrets.main() == 0
    written = list(yaml.safe_load_all(capsys.readouterr().out))
    assert {one["kind"] for one in written} == {"Secret"}
    assert {one["metadata"]["namespace"] for one in written} == {"filmgate"}


@pytest.mark.parametrize("name", secrets.DATABASES)
async def test_the_owner_makes_tables_and_the_service_only_writes_rows(server, made, name):
    owner, service = (make_url(made[f"{name}-database{kind}"]["url"]) for kind in ("-owner", ""))
    assert (owner.host, owner.port, owner.drivername) == ("postgresql", 5432, "postgresql+asyncpg")

    async def connect(url) -> asyncpg.Connection:
        where = {"host": str(server.sockets), "user": url.username, "password": url.password}
        return await asyncpg.connect(database=url.database, **where)

    making, writing = await connect(owner), await connect(service)
    try:
        await making.execute("CREATE TABLE toy (id bigint GENERATED ALWAYS AS IDENTITY, name text)")
        await writing.execute("INSERT INTO toy (name) VALUES ('a')")
        assert await writing.fetchval("SELECT name FROM toy") == "a"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await writing.execute("CREATE TABLE other (id bigint)")
    finally:
        await making.close()
        await writing.close()


async def test_a_role_does_not_enter_another_database(server, made):
    service = make_url(made["billing-database"]["url"])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(
            host=str(server.sockets), user=service.username, password=service.password, database="auth"
        )
