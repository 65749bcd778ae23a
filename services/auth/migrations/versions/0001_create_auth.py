"""Accounts, logins, organizations, keys, tokens, standings and notices, with the marks that the feed reads."""

from alembic import op

from services.runtime import idempotency, jobs

revision = "auth_0001"
down_revision = None

FED = ("keys", "sessions", "freezes", "acceptances", "policies_in_force")

TABLES = """
CREATE TABLE organizations (
  id text PRIMARY KEY, display_name text, personal boolean NOT NULL, create_time timestamptz NOT NULL
);
CREATE TABLE projects (
  id text PRIMARY KEY, organization text NOT NULL REFERENCES organizations, display_name text,
  create_time timestamptz NOT NULL
);
CREATE INDEX ix_projects_organization ON projects (organization);
CREATE TABLE accounts (
  id text PRIMARY KEY, organization text NOT NULL REFERENCES organizations, project text NOT NULL REFERENCES projects,
  display_name text, locale text, phone bytea, phone_index bytea UNIQUE, email bytea, email_index bytea UNIQUE,
  birth_date bytea, age_statement boolean, profile_version text NOT NULL, create_time timestamptz NOT NULL,
  update_time timestamptz NOT NULL
);
CREATE INDEX ix_accounts_organization ON accounts (organization);
CREATE TABLE freezes (
  account text REFERENCES accounts, scope text CHECK (scope IN ('ALL', 'KEYS', 'SPENDING')), reason text NOT NULL,
  actor text NOT NULL, create_time timestamptz NOT NULL, expire_time timestamptz, lift_time timestamptz,
  PRIMARY KEY (account, scope)
);
CREATE TABLE flows (
  id text PRIMARY KEY, channel text NOT NULL, purpose text NOT NULL, locale text NOT NULL, target bytea NOT NULL,
  target_index bytea NOT NULL, code bytea, digest bytea NOT NULL, tries integer NOT NULL,
  create_time timestamptz NOT NULL, expire_time timestamptz NOT NULL, use_time timestamptz, account text
);
CREATE INDEX ix_flows_create_time ON flows (create_time);
CREATE TABLE target_sends (
  subject bytea PRIMARY KEY, last_time timestamptz NOT NULL,
  hour_start timestamptz NOT NULL, hour_sent integer NOT NULL, day_start timestamptz NOT NULL, day_sent integer NOT NULL
);
CREATE TABLE source_sends (
  subject bytea PRIMARY KEY, hour_start timestamptz NOT NULL, hour_sent integer NOT NULL
);
CREATE TABLE sessions (
  id text PRIMARY KEY, account text NOT NULL REFERENCES accounts, organization text NOT NULL REFERENCES organizations,
  project text NOT NULL REFERENCES projects, device_name text, user_agent text, ip_address text,
  create_time timestamptz NOT NULL, last_seen_time timestamptz NOT NULL, access_digest bytea NOT NULL,
  access_expire_time timestamptz NOT NULL, previous_digest bytea, previous_expire_time timestamptz,
  refresh_expire_time timestamptz NOT NULL, end_time timestamptz
);
CREATE INDEX sessions_of_account ON sessions (account, create_time, id);
CREATE TABLE refresh_tokens (
  digest bytea PRIMARY KEY, session text NOT NULL REFERENCES sessions ON DELETE CASCADE,
  expire_time timestamptz NOT NULL, use_time timestamptz, nonce bytea
);
CREATE INDEX ix_refresh_tokens_session ON refresh_tokens (session);
CREATE TABLE keys (
  id text PRIMARY KEY, organization text NOT NULL REFERENCES organizations, project text NOT NULL REFERENCES projects,
  account text NOT NULL REFERENCES accounts, digest bytea NOT NULL UNIQUE, pepper smallint NOT NULL,
  display_name text NOT NULL, scopes text[] NOT NULL, prefix text NOT NULL, last_four text NOT NULL,
  create_time timestamptz NOT NULL, expire_time timestamptz, revoke_time timestamptz
);
CREATE INDEX ix_keys_account ON keys (account);
CREATE INDEX keys_of_project ON keys (project, create_time, id);
CREATE TABLE key_uses (key text PRIMARY KEY REFERENCES keys ON DELETE CASCADE, use_time timestamptz NOT NULL);
CREATE TABLE acceptances (
  account text REFERENCES accounts, kind text, accepted integer NOT NULL, receipt text NOT NULL,
  accept_time timestamptz NOT NULL, PRIMARY KEY (account, kind)
);
CREATE TABLE policies_in_force (
  kind text, number integer, policy text NOT NULL, effective_time timestamptz NOT NULL, PRIMARY KEY (kind, number)
);
CREATE TABLE notices (
  id text PRIMARY KEY, account text NOT NULL REFERENCES accounts, template text NOT NULL, parameters jsonb NOT NULL,
  create_time timestamptz NOT NULL, deliver_time timestamptz
);
CREATE INDEX ix_notices_account ON notices (account);
CREATE TABLE caller_keys (
  kid text PRIMARY KEY, public_key bytea NOT NULL, publish_time timestamptz NOT NULL, start_time timestamptz NOT NULL,
  retire_time timestamptz
);
CREATE TABLE service_accounts (
  name text PRIMARY KEY, id text NOT NULL UNIQUE, organization text NOT NULL, project text NOT NULL,
  scopes text[] NOT NULL, update_time timestamptz NOT NULL
)
"""

MARK = """
CREATE FUNCTION mark_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.changed := pg_current_xact_id()::text::bigint;
  NEW.version := CASE WHEN TG_OP = 'INSERT' THEN 1 ELSE OLD.version + 1 END;
  RETURN NEW;
END $$
"""


def upgrade() -> None:
    jobs.create_tables(op)
    idempotency.create_tables(op)
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    op.execute(MARK)
    for table in FED:
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN changed bigint NOT NULL DEFAULT 0, "
            "ADD COLUMN version bigint NOT NULL DEFAULT 0"
        )
        op.execute(f"CREATE INDEX ix_{table}_changed ON {table} (changed)")
        op.execute(
            f"CREATE TRIGGER mark_change BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION mark_change()"
        )
