"""Alembic's environment, one for all services. Only services.runtime.database drives it, with an open connection."""

from alembic import context

from services.runtime import database

service = context.config.attributes["service"]
own = {table.name for table in database.tables_of(service)}
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=database.Base.metadata,
    include_name=lambda name, kind, _: kind != "table" or name in own,
    include_object=lambda _, name, kind, reflected, __: kind != "table" or name in own or reflected,
    transaction_per_migration=True,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()
