"""Give each model a queue of its own: jobs of the kind `generate` become `generate.<model>`, with their fair share."""

import sqlalchemy as sa
from alembic import op

revision = "generation_0002"
down_revision = "generation_0001"

_MOVE = """
UPDATE jobs SET kind = 'generate.' || videos.model FROM videos
WHERE jobs.kind = 'generate' AND jobs.key = 'generate:' || videos.id;
INSERT INTO job_pools (kind, priority, clock)
SELECT 'generate.' || used.model, pool.priority, pool.clock
FROM job_pools AS pool CROSS JOIN (SELECT DISTINCT model FROM videos) AS used WHERE pool.kind = 'generate';
INSERT INTO job_shares (kind, priority, tenant, vft)
SELECT 'generate.' || used.model, share.priority, share.tenant, share.vft
FROM job_shares AS share CROSS JOIN (SELECT DISTINCT model FROM videos) AS used WHERE share.kind = 'generate';
DELETE FROM job_pools WHERE kind = 'generate';
DELETE FROM job_shares WHERE kind = 'generate'
"""


def upgrade() -> None:
    for statement in _MOVE.split(";\n"):
        op.execute(sa.text(statement))
