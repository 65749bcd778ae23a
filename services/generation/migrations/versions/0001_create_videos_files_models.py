"""Create the tables of videos, files, models and moderation, and those of the runtime."""

import sqlalchemy as sa
from alembic import op

from services.runtime import idempotency, jobs

revision = "generation_0001"
down_revision = None

_TABLES = """
CREATE TABLE videos (
  id text PRIMARY KEY, organization text NOT NULL, project text NOT NULL, account text NOT NULL,
  request_id text NOT NULL, external_id text,
  state text NOT NULL,
  sequence bigint NOT NULL, progress_percent integer NOT NULL, stage text NOT NULL, attempt integer NOT NULL,
  outcome text,
  model text NOT NULL, prompt text, negative_prompt text, image text, duration_seconds integer NOT NULL,
  resolution text NOT NULL, aspect_ratio text NOT NULL, seed bigint NOT NULL, camera jsonb, width integer NOT NULL,
  height integer NOT NULL, frame_rate integer NOT NULL, cost double precision NOT NULL,
  quote_micros bigint, currency text, price_version integer, price_micros bigint, settlement text,
  output text, error_reason text, error_message text, error_metadata jsonb,
  create_time timestamptz NOT NULL, start_time timestamptz, end_time timestamptz, expire_time timestamptz,
  start_deadline timestamptz NOT NULL, delete_time timestamptz, profile_version text NOT NULL,
  CONSTRAINT videos_state
    CHECK (state IN ('ADMITTING', 'QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
  CONSTRAINT videos_progress CHECK (progress_percent BETWEEN 0 AND 100),
  CONSTRAINT videos_settlement CHECK ((end_time IS NOT NULL) = (settlement IS NOT NULL)),
  CONSTRAINT videos_output CHECK (state <> 'SUCCEEDED' OR output IS NOT NULL)
);
CREATE INDEX videos_list ON videos (project, create_time, id);
CREATE UNIQUE INDEX videos_external_id ON videos (project, external_id) WHERE delete_time IS NULL;
CREATE INDEX videos_open ON videos (organization) WHERE state IN ('ADMITTING', 'QUEUED', 'RUNNING');
CREATE INDEX videos_texts ON videos (end_time) WHERE prompt IS NOT NULL;
CREATE INDEX videos_image ON videos (image) WHERE image IS NOT NULL;
CREATE TABLE files (
  id text PRIMARY KEY, organization text NOT NULL, project text NOT NULL, account text NOT NULL,
  kind text NOT NULL, state text NOT NULL, object text NOT NULL, video text, content_type text, size_bytes bigint,
  sha256 text, width integer, height integer, frame_rate double precision, duration_seconds double precision,
  visible_seconds double precision, visible_ink_percent double precision, aigc text,
  create_time timestamptz NOT NULL, expire_time timestamptz, delete_time timestamptz,
  CONSTRAINT files_state CHECK (state IN ('UPLOADING', 'STAGING', 'READY')),
  CONSTRAINT files_kind CHECK (kind IN ('IMAGE', 'VIDEO')),
  CONSTRAINT files_ready CHECK (state <> 'READY' OR (size_bytes > 0 AND sha256 IS NOT NULL))
);
CREATE INDEX files_list ON files (project, create_time, id);
CREATE INDEX files_unready ON files (create_time) WHERE state <> 'READY';
CREATE INDEX files_expiry ON files (expire_time) WHERE expire_time IS NOT NULL AND delete_time IS NULL;
CREATE INDEX files_video ON files (video) WHERE video IS NOT NULL;
CREATE TABLE models (
  id text PRIMARY KEY, first_ready_time timestamptz NOT NULL, last_ready_time timestamptz NOT NULL
);
CREATE TABLE model_reports (
  model text, worker text, slots_ready integer NOT NULL, report_time timestamptz NOT NULL,
  PRIMARY KEY (model, worker)
);
CREATE TABLE moderation_verdicts (
  id text PRIMARY KEY, organization text NOT NULL, account text NOT NULL, video text NOT NULL, subject text NOT NULL,
  verdict text NOT NULL, category text NOT NULL, rules text NOT NULL, create_time timestamptz NOT NULL,
  CONSTRAINT moderation_verdicts_verdict CHECK (verdict IN ('PASSED', 'REFUSED'))
);
CREATE INDEX moderation_verdicts_video ON moderation_verdicts (video);
CREATE INDEX moderation_verdicts_create_time ON moderation_verdicts (create_time)
"""


def upgrade() -> None:
    idempotency.create_tables(op)
    jobs.create_tables(op)
    for statement in _TABLES.split(";\n"):
        op.execute(sa.text(statement))
