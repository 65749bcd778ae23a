"""One clock for the whole suite: nothing of ours asks PostgreSQL or Python for the time but in named places.

Its fault: `jobs.cancel`, the census of jobs and the default of a column asked PostgreSQL for now(), while
every other time came from the clock that a process is given. Where a test moved that, a job was cancelled before it was
made. The rule stands in services/runtime/clock.py.
"""

import ast
import re
from collections.abc import Iterator

from tests.support.source import ROOT, Source, below

SQL_TIME = re.compile(
    r"\b(now|clock_timestamp|transaction_timestamp|statement_timestamp|timeofday)\s*\(\s*\)"
    r"|\b(current_timestamp|current_date|current_time|localtimestamp|localtime)\b"
    r"|'(now|today|tomorrow|yesterday)'",
    re.IGNORECASE,
)
"""Every way in which SQL asks the server for the time; the last are texts that PostgreSQL reads as times."""
FUNCTIONS = {
    "now", "clock_timestamp", "transaction_timestamp", "statement_timestamp", "timeofday", "current_timestamp",
    "current_date", "current_time", "localtimestamp", "localtime", "sysdate",
}  # fmt: skip
"""The same as attributes of SQLAlchemy's `func`, and as classes of its `functions`."""

PYTHON_TIME = {
    "services/runtime/clock.py": "the one home",
    "deploy/local/certificates.py": "certificates are checked by programs that know the host's time only",
}
"""Who may ask Python for the time of day, and why."""
TIME_OF_DAY = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time"),
    ("time", "time_ns"), ("time", "gmtime"), ("time", "localtime"), ("time", "ctime"), ("time", "strftime"),
    ("time", "clock_gettime"), ("time", "clock_gettime_ns"),
}  # fmt: skip


def sql_times(source: Source) -> Iterator[str]:
    """Yield where a file's SQL asks for the time: in a text of it, or by SQLAlchemy's `func`."""
    docs = {id(node.value) for node in ast.walk(source.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(source.tree):
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if id(node) not in docs and (found := SQL_TIME.search(text)):
            yield f"{source.path}:{node.lineno}: {found.group()} in a text"  # type: ignore[attr-defined]
        if isinstance(node, ast.Attribute) and node.attr in FUNCTIONS:
            holder = ast.unparse(node.value).rpartition(".")[2]
            if holder in ("func", "functions"):
                yield f"{source.path}:{node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
            yield from (f"{source.path}:{node.lineno}: {n.name}" for n in node.names if n.name in FUNCTIONS)


def python_times(source: Source) -> Iterator[str]:
    """Yield where a file asks Python for the time of day, by whatever name it has imported it."""
    homes = {"datetime", "date", "time"}
    names = {home: home for home in homes}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names |= {n.asname: n.name for n in node.names if n.asname and n.name in homes}
        elif isinstance(node, ast.ImportFrom) and node.module in homes:
            names |= {n.asname: n.name for n in node.names if n.asname and n.name in homes}
            plain = [n.name for n in node.names if (node.module, n.name) in TIME_OF_DAY]
            yield from (f"{source.path}:{node.lineno}: from {node.module} import {name}" for name in plain)
    for node in source.attributes():
        holder = ast.unparse(node.value).rpartition(".")[2]
        if (names.get(holder, holder), node.attr) in TIME_OF_DAY:
            yield f"{source.path}:{node.lineno}: {ast.unparse(node)}"


def test_no_sql_asks_the_database_for_the_time() -> None:
    faults = [fault for source in below("services", "deploy") for fault in sql_times(source)]
    scripts = [path for folder in ("services", "deploy") for path in (ROOT / folder).rglob("*.sql")]
    faults += [f"{path}: asks for the time" for path in scripts if SQL_TIME.search(path.read_text())]
    assert not faults, "\n".join(faults)


def test_only_named_places_ask_python_for_the_time_of_day() -> None:
    found = {source.path: [*python_times(source)] for source in below("services", "deploy")}
    faults = [fault for path, some in found.items() for fault in some if path not in PYTHON_TIME]
    assert not faults, "\n".join(faults)
    assert PYTHON_TIME.keys() == {path for path in PYTHON_TIME if found[path]}, "an exception that nobody needs"


SQL = [
    'sa.text("UPDATE jobs SET end_time = now()")', 'sa.text("SELECT NOW ( )")', "sa.func.now()",
    "from sqlalchemy import func\nfunc.current_timestamp()", "sqlalchemy.sql.functions.now()",
    "from sqlalchemy.sql.functions import now", 'op.execute("ALTER TABLE t ALTER c SET DEFAULT CURRENT_TIMESTAMP")',
    "text(\"WHERE t > clock_timestamp()\")", "text(f\"WHERE t > {x} AND now() > t\")",
    'text("SELECT localtimestamp")', "text(\"SELECT 'now'::timestamptz\")", "column(server_default=sa.func.now())",
]  # fmt: skip
NO_SQL = ['"""It never says now()."""', "clock.now()", "self._clock.now()", 'text("WHERE t > :now")', "known.nowhere()"]
PYTHON = [
    "import time\ntime.time()", "import time as t\nt.time_ns()", "from time import time", "datetime.date.today()",
    "import datetime\ndatetime.datetime.now(datetime.UTC)", "from datetime import datetime as dt\ndt.utcnow()",
]  # fmt: skip
NO_PYTHON = ["import time\ntime.monotonic()", "clock.now()", "SystemClock().now()", "time.perf_counter()"]


def test_the_walk_finds_each_of_them() -> None:
    """A lint that finds nothing is worth nothing: each way of asking is found, and nothing else is."""
    for text in (*SQL, *NO_SQL):
        assert bool([*sql_times(Source("x.py", "x", text, ast.parse(text)))]) == (text in SQL), text
    for text in (*PYTHON, *NO_PYTHON):
        assert bool([*python_times(Source("x.py", "x", text, ast.parse(text)))]) == (text in PYTHON), text
