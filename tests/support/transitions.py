"""What real runs did to their videos, transaction by transaction, held against the model of the protocol.

    recorder = transitions.Recorder(suite.database_urls)    # or {"generation": (owner_url, ...), "billing": ...}
    await recorder.install()                                # before the first order; once per database
    ...
    await recorder.check(organization)                      # raises Unexplained for what the model does not know
    print(recorder.report())                                # which steps of the model were seen, and which never

Deferred triggers of the owner's log what each transaction changed in `videos`, `jobs`, `files`, `requests` and `holds`,
while its locks are still held: so the order of the log is the order in which transactions that met each other took
effect. The changes of one transaction to one video must be one step of the model, and all of them together one of its
ways, with any number of steps between them that no table shows: a kill, a freeze, an upload, a thought.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg

from tests.protocol.conformance import Follower, Seen, nothing_seen

TABLES = {
    "generation": {
        "videos": ("id", "organization", "state", "outcome", "settlement", "output", "request_id", "delete_time"),
        "jobs": ("id", "key", "state", "attempt", "excused"),
        "files": ("id", "video", "state", "delete_time"),
        "requests": ("scope", "request_id", "answer"),
    },
    "billing": {"holds": ("video", "organization", "state", "charged")},
}
_INSTALL = """
CREATE TABLE IF NOT EXISTS transitions (
  id bigserial PRIMARY KEY, tx xid8 NOT NULL, place text NOT NULL, video text, old jsonb, new jsonb
);
CREATE INDEX IF NOT EXISTS transitions_video ON transitions (video);
CREATE INDEX IF NOT EXISTS transitions_tx ON transitions (tx);
CREATE OR REPLACE FUNCTION log_transition() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
  after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
  whole jsonb := coalesce(after, before);
  old_part jsonb := (SELECT jsonb_object_agg(key, value) FROM jsonb_each(before) WHERE key = ANY(TG_ARGV));
  new_part jsonb := (SELECT jsonb_object_agg(key, value) FROM jsonb_each(after) WHERE key = ANY(TG_ARGV));
BEGIN
  IF old_part IS DISTINCT FROM new_part THEN
    INSERT INTO transitions (tx, place, video, old, new) VALUES (
      pg_current_xact_id(), TG_TABLE_NAME,
      CASE TG_TABLE_NAME WHEN 'videos' THEN whole->>'id' WHEN 'jobs' THEN whole->'payload'->>'video'
        ELSE whole->>'video' END,
      old_part, new_part);
  END IF;
  RETURN NULL;
END $$;
"""
_TRIGGER = """
DROP TRIGGER IF EXISTS log_transition ON {table};
CREATE CONSTRAINT TRIGGER log_transition AFTER INSERT OR UPDATE OR DELETE ON {table} DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION log_transition({columns});
"""
_READ = """
SELECT id, tx::text, place, video, old, new FROM transitions
WHERE video = ANY($1) OR tx IN (SELECT tx FROM transitions WHERE video = ANY($1)) ORDER BY id
"""
_VIDEOS = """
SELECT DISTINCT video FROM transitions WHERE place = 'videos' AND coalesce(new, old)->>'organization' = $1
"""


class Unexplained(AssertionError):
    """A transaction of a real run that is no step of the model, or a run that is none of its ways."""


class Change(NamedTuple):
    """What one transaction did to one row; None: the row was not there, or is not any more."""

    place: str
    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None


class Recorder:
    """The triggers of one suite, and what was seen by them so far."""

    def __init__(self, urls: Mapping[str, Sequence[str]]) -> None:
        self._urls = {name: urls[name][0].replace("+asyncpg", "") for name in TABLES}
        self._follower = Follower()
        self.seen: Counter[str] = Counter()

    async def install(self) -> None:
        """Write the triggers, as the owner of each database."""
        for name, tables in TABLES.items():
            statements = [
                _TRIGGER.format(table=table, columns=", ".join(f"'{column}'" for column in columns))
                for table, columns in tables.items()
            ]
            await self._on(name, asyncpg.Connection.execute, "".join([_INSTALL, *statements]))

    async def check(self, organization: str, only: Collection[str] | None = None) -> int:
        """Hold what became of an organization's videos so far against the model; returns how many transactions it were.

        `only` names some of them. Raises Unexplained.
        """
        rows = await self._on("generation", asyncpg.Connection.fetch, _VIDEOS, organization)
        videos = [row["video"] for row in rows if only is None or row["video"] in only]
        logs = {}
        for name in TABLES:
            logs[name] = _by_video(await self._on(name, asyncpg.Connection.fetch, _READ, videos), videos)
        return sum(self._check(video, logs["generation"][video], logs["billing"][video]) for video in videos)

    def report(self) -> str:
        """Say which steps of the model that a table shows were seen, and which never."""
        never = sorted(self._follower.visible - self.seen.keys())
        seen = [f"{count:6} {name}" for name, count in sorted(self.seen.items())]
        return "\n".join(["transitions seen:", *seen, "never seen:", *(f"       {name}" for name in never)])

    def _check(self, video: str, made: list[list[Change]], held: list[list[Change]]) -> int:
        counts = any(change.new["request_id"] for changes in made for change in changes if _is_order(change))
        left, right = _ways(made, counts), _ways(held, counts)
        names = self._follower.follow(left, right, counts_request=counts)
        if isinstance(names, str):
            told = [str([tuple(change) for change in changes]) for changes in (*made, *held)]
            raise Unexplained("\n".join([f"{video}: {names}", *told]))
        self.seen.update(names)
        return len(made) + len(held)

    async def _on(self, name: str, act: Any, *given: Any) -> Any:
        wire = await asyncpg.connect(self._urls[name])
        try:
            return await act(wire, *given)
        finally:
            await wire.close()


def _is_order(change: Change) -> bool:
    return change.place == "videos" and change.old is None


def _by_video(rows: Sequence[Any], videos: Sequence[str]) -> dict[str, list[list[Change]]]:
    """Return the changes of each video, by transaction, in the order in which they took effect."""
    found: dict[str, dict[str, list[Change]]] = {video: {} for video in videos}
    touched: dict[str, set[str]] = {}
    for row in rows:
        if row["video"]:
            touched.setdefault(row["tx"], set()).add(row["video"])
    for row in rows:
        change = Change(row["place"], *(json.loads(row[side]) if row[side] else None for side in ("old", "new")))
        # A request's row names no video: it belongs to the only one that its transaction changed.
        owners = {row["video"]} if row["place"] != "requests" else touched.get(row["tx"], set())
        if len(owners) == 1 and owners <= found.keys():
            found[owners.pop()].setdefault(row["tx"], []).append(change)
    return {video: list(changes.values()) for video, changes in found.items()}


def _ways(transactions: list[list[Change]], counts_request: bool) -> list[Seen]:
    """Return what is seen of a video at first and after each transaction that changed what is seen."""
    rows: dict[tuple[str, str], Mapping[str, Any] | None] = {}
    ways = [nothing_seen()]
    for changes in transactions:
        for change in changes:
            there = change.new or change.old or {}
            is_kept = change.place == "jobs" and change.new is None  # swept a week after its end
            if not is_kept:
                rows[change.place, there.get("id") or there.get("request_id") or there["video"]] = change.new
        seen = _seen(rows, counts_request)
        if seen != ways[-1]:
            ways.append(seen)
    return ways


def _seen(rows: Mapping[tuple[str, str], Mapping[str, Any] | None], counts_request: bool) -> Seen:
    gone = any(place == "videos" and row is None for (place, _), row in rows.items())
    seen = nothing_seen()._replace(state="gone" if gone else "")
    files = []
    for (place, _), row in rows.items():
        if row is None:
            continue
        if place == "videos":
            seen = seen._replace(
                state=row["state"], outcome=row["outcome"] or "", settlement=row["settlement"] or "",
                published=bool(row["output"]), deleted=bool(row["delete_time"]),
            )  # fmt: skip
        elif place == "jobs":
            seen = seen._replace(**_job(row))
        elif place == "files":
            files.append("DELETED" if row["delete_time"] else row["state"])
        elif place == "requests" and counts_request:
            seen = seen._replace(claim="ANSWERED" if row["answer"] else "CLAIMED")
        elif place == "holds":
            seen = seen._replace(hold=row["state"], barred=row["organization"] is None, charged=bool(row["charged"]))
    return seen._replace(files=tuple(sorted(files)))


def _job(row: Mapping[str, Any]) -> dict[str, Any]:
    kind = {"admit_cleanup": "cleanup"}.get(name := row["key"].partition(":")[0], name)
    state = {"WAITING": "OPEN", "QUEUED": "OPEN", "RUNNING": "LEASED"}.get(row["state"], row["state"])
    counts = {"attempt": row["attempt"], "excused": row["excused"]} if kind == "generate" else {}
    return {kind: state, **counts}
