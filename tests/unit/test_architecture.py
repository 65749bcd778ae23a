"""The house's rules, held by a walk over the source: who may import whom, sizes, names, and things with one home.

The rules stand in docs/architecture.md. An exception is a line in a table here, with its reason.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.source import ROOT, SERVICES, Source, below, nouns, sources

MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 40
MAX_RUNTIME_MODULES, MAX_RUNTIME_LINES = 20, 2640  # 30 of them: no process lives on without its ports

PROCESS = {"__init__", "__main__", "config", "clients", "errors"}
NOUN = {"__init__", "api", "domain", "store", "tables"}

ROOMS = {
    "auth": {"check"},
    "billing": {"audit"},
    "generation": {"moderation", "labels", "dialects", "film", "triton", "media", "worker"},
    "privacy": {"erasure", "retention"},
}
"""Rooms without RPCs of their own, as a folder or one file."""

EXTRAS = {
    "auth/accounts": {
        "contacts": "whose a contact point is, for logins and deliveries alike",
        "registration": "everything that one registration makes",
    },
    "auth/keys": {"uses": "last uses, from memory to rows"},
    "auth/logins": {
        "codes": "a try with a code, for registration and login alike",
        "origin": "where a call came from",
        "sessions": "opening and rotation, for registration and login alike",
        "sweep": "the end of codes",
    },
    "auth/notices": {"jobs": "deliveries", "outbox": "the files in place of mail and SMS"},
    "auth/tokens": {"grants": "service accounts as a file", "keyring": "the signing keys"},
    "billing/prices": {"money": "Money of the contract", "book_cache": "the price books as files, in memory"},
    "billing/wallets": {
        "census": "what the metrics say, counted in the background",
        "expiry": "what lapsed, swept in the background",
        "invariants": "whether the ledger holds",
        "ledger": "everything that moves money, with its journal",
    },
    "generation/files": {
        "jobs": "what happens to files by itself",
        "objects": "the object store",
        "scratch": "content on its way, on this machine's disk",
    },
    "generation/models": {"catalog": "the models as a file"},
    "generation/videos": {
        "admission": "steps 1 to 5 of the life of a generation",
        "jobs": "what follows from a video's transactions",
        "message": "a row as the contract's Video, for many callers",
        "queue": "places in the queue and their times",
        "reads": "polls of many callers in one read",
        "watch": "one feed for all watchers",
    },
    "privacy/audit": {"events": "the service's own events"},
    "privacy/policies": {
        "first": "the texts that come as files",
        "jobs": "the effects in auth",
        "publication": "one transaction with two causes: the operator and the first start",
    },
}
"""Named extras of a noun, one thing each. Rooms without RPCs name their files as they need."""

ENVIRON = {
    "services/runtime/config.py": "the one home",
    "deploy/local/config.py": "hands the environment on to the processes it starts",
    "services/generation/triton/wan/weights.py": "inside Triton is no services.runtime; names the mounted folder",
}
"""Who may touch the environment, and why."""

FOREIGN_CONTRACTS = {
    "services/auth/check/bodies.py": {"filmgate": "reads the descriptors of every published method"},
}
"""Who besides clients.py may see another service's contract, and why."""

SQL = {
    "services/billing/wallets/invariants.py": "asks the whole ledger whether it holds; nothing else does",
}
"""Files with SQL beside stores and tables, and why."""

SLEEPS = {
    "tests/faults/chaos/checks.py": "looks until all has ended, as customers do",
    "tests/faults/chaos/kinds.py": "a fault lasts as long as its dice say",
    "tests/faults/chaos/load.py": "customers pause between their calls",
    "tests/faults/chaos/stage.py": "the supervisor looks a few times a second",
    "tests/faults/conftest.py": "a process is frozen for longer than a lease",
    "tests/support/edge.py": "waits for an Envoy that it started",
    "tests/support/triton.py": "waits for a Triton that it started",
    "tests/support/waiting.py": "the one home of waiting for a condition",
    "tests/unit/generation/worker/test_crashes.py": "the supervisor looks a few times a second",
}
"""Where time passes for itself. A test is given its clock, or waits for a condition (tests/support/waiting.py)."""

IMPURE = {
    "grpc", "google", "filmgate", "sqlalchemy", "asyncpg", "aiohttp", "asyncio", "socket", "subprocess", "os", "time",
}  # fmt: skip
"""What makes a module more than rules: contracts, SQL, the network, the system, the clock."""

BAD_NAMES = re.compile(r"(utils?|helpers?|commons?|misc|managers?)(\.py)?")
ELEMENTS = "filmgate.privacy.v1.elements_pb2"


def none(faults: list[str]) -> None:
    """Fail with all faults, one a line."""
    assert not faults, "\n".join(["", *faults])


def test_a_noun_has_a_proto_a_folder_and_tests_of_one_name():
    faults = []
    for service in SERVICES:
        rooms = {path.name for path in (ROOT / "services" / service).iterdir() if (path / "__init__.py").is_file()}
        rooms -= ROOMS[service] | {"migrations"}
        if rooms != nouns(service):
            faults.append(f"services/{service}: {sorted(rooms ^ nouns(service))} is a folder or a proto, not both")
        tests = ROOT / "tests" / "unit" / service
        faults += [f"{tests / noun}: no tests" for noun in nouns(service) if not [*(tests / noun).glob("test_*.py")]]
    none(faults)


def test_files_bear_the_names_of_their_roles():
    faults = []
    for service in SERVICES:
        for source in below(f"services/{service}"):
            parts = source.path.removesuffix(".py").split("/")[2:]
            if len(parts) == 1 and parts[0] not in PROCESS | ROOMS[service]:
                faults.append(f"{source.path}: not a file of a process")
            if parts[0] in nouns(service):
                extras = EXTRAS.get(f"{service}/{parts[0]}", {}).keys()
                if len(parts) != 2 or parts[1] not in NOUN | extras:
                    faults.append(f"{source.path}: not a file of a noun nor a named extra")
    none(faults)
    stale = [f"{room}/{name}" for room, names in EXTRAS.items() for name in names if not _exists(room, name)]
    none(stale)


def _exists(room: str, name: str) -> bool:
    return (ROOT / "services" / room / f"{name}.py").is_file()


def test_nothing_is_called_utils():
    names = [source.path for source in sources() if any(BAD_NAMES.fullmatch(part) for part in source.path.split("/"))]
    none(names)


def _allowed(source: Source) -> tuple[str, ...]:
    """What of ours a file of a service may import, by its role: dotted names, with what is below them."""
    _, service, *rest = [*source.module.split("."), ""][:4]
    own, contract = f"services.{service}", f"filmgate.{service}"
    if service in ("", "runtime"):
        return ("services.runtime", ELEMENTS)
    if rest[0] == "migrations":
        return ("services.runtime", own, ELEMENTS)
    if rest[0] in ("film", "triton"):
        return (f"{own}.film", f"{own}.triton")  # they run inside Triton, whose environment has nothing else of ours
    role = rest[-1] or rest[0] if rest[0] in nouns(service) | PROCESS else "room"
    return {
        "__main__": (own, "services.runtime", contract),
        "config": ("services.runtime",),
        "errors": ("services.runtime.errors", f"{contract}.v1.error_reason_pb2"),
        "clients": ("services.runtime", f"{own}.errors", "filmgate"),
        "domain": (own, "services.runtime.errors"),
    }.get(role, (own, "services.runtime", contract, ELEMENTS, *FOREIGN_CONTRACTS.get(source.path, {})))


def _turned(source: Source, name: str) -> bool:
    """Whether an import inside a noun goes against the direction: tables, then store, then api, then __main__."""
    role, target = source.module.rpartition(".")[2], name.split(".")
    if target[-1] == "__main__":
        return True
    if role not in ("tables", "store", "domain") or target[0] != "services" or len(target) != 4:
        return False
    if role == "domain":
        return not _is_pure(name)
    return target[-1] not in ("tables", "store", "domain") and not _is_pure(name)


def _is_pure(module: str) -> bool:
    """Whether a module of a service does no I/O and knows neither protos nor SQL, nor does what it imports of ours."""
    source = next((source for source in below("services") if source.module == module), None)
    if source is None or module.endswith(".errors"):
        return source is not None
    names = {name for _, name in source.imports()}
    return not any(name.split(".")[0] in IMPURE for name in names) and all(
        name == "services.runtime.errors" or _is_pure(name) for name in names if name.startswith("services.")
    )


def test_imports_follow_the_directions():
    faults = []
    for source in below("services"):
        allowed = _allowed(source)
        for line, name in source.imports():
            ours = name.split(".")[0] in ("services", "filmgate", "deploy", "tests")
            inside = any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)
            if ours and (not inside or _turned(source, name)):
                faults.append(f"{source.path}:{line}: imports {name}")
    none(faults)


def test_domain_is_pure():
    none(
        [
            source.path
            for source in below("services")
            if source.path.endswith("/domain.py")
            if not _is_pure(source.module)
        ]
    )


def test_sql_stands_in_stores():
    """Elsewhere only the type of the session is known, which is passed on."""
    homes = ("/store.py", "/tables.py")
    faults = []
    for source in below(*(f"services/{service}" for service in SERVICES)):
        if source.path.endswith(homes) or "/migrations/" in source.path or source.path in SQL:
            continue
        for node in ast.walk(source.tree):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import | ast.ImportFrom) else set()
            module = node.module or "" if isinstance(node, ast.ImportFrom) else " ".join(names)
            if module.startswith(("sqlalchemy", "asyncpg")) and names != {"AsyncSession"}:
                faults.append(f"{source.path}:{node.lineno}: SQL outside of a store")
    none(faults)


def test_runtime_stays_small():
    files = [source for source in below("services/runtime") if "/migrations/" not in source.path]
    modules = [source for source in files if not source.path.endswith("__init__.py")]
    assert len(modules) <= MAX_RUNTIME_MODULES
    assert sum(source.code_lines for source in files) <= MAX_RUNTIME_LINES


def test_files_and_functions_stay_short():
    faults = [f"{source.path}: {source.lines} lines" for source in sources() if source.lines > MAX_FILE_LINES]
    for source in sources():
        for function in source.functions():
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                faults.append(f"{source.path}:{function.lineno}: {function.name} has {lines} lines")
    none(faults)


def test_abort_has_one_home():
    calls = {"abort", "abort_with_status", "set_code", "set_details"}
    homes = {"services/runtime/interceptors.py", "services/runtime/server.py"}  # the health port has no interceptors
    nodes = [(source.path, node) for source in below("services") for node in source.attributes() if node.attr in calls]
    none([f"{path}:{node.lineno}: {node.attr}" for path, node in nodes if path not in homes])


def test_environment_has_one_home():
    homes = {source.path for source in below("services", "deploy") if _reads_environment(source)}
    assert homes <= ENVIRON.keys()
    assert ENVIRON.keys() <= homes, "an exception that nobody needs"


def _reads_environment(source: Source) -> bool:
    names = {"environ", "environb", "getenv", "putenv"}
    return any(node.attr in names and isinstance(node.value, ast.Name) for node in source.attributes()) or any(
        isinstance(node, ast.ImportFrom) and node.module == "os" and names & {alias.name for alias in node.names}
        for node in ast.walk(source.tree)
    )


def _sleeps_and_mocks(source: Source) -> Iterator[str]:
    for line, name in source.imports():
        if name.startswith(("unittest", "mock")):
            yield f"{source.path}:{line}: imports {name}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "asyncio") and _imports(node, "sleep"):
            yield f"{source.path}:{node.lineno}: sleeps"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("time.sleep", "mock.patch", "mocker.patch"):
            yield f"{source.path}:{node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.Call) and _waits_blindly(node):
            yield f"{source.path}:{node.lineno}: {ast.unparse(node)} waits for no condition"


def _imports(node: ast.ImportFrom, name: str) -> bool:
    return name in {alias.name for alias in node.names}


def _waits_blindly(call: ast.Call) -> bool:
    """Whether it lets a constant time pass: asyncio.sleep, or asyncio.wait that goes on at its timeout in any case."""
    named = ast.unparse(call.func)
    if named == "asyncio.sleep":
        return any(_constant(argument) and ast.unparse(argument) != "0" for argument in call.args)
    return named == "asyncio.wait" and any(key.arg == "timeout" and _constant(key.value) for key in call.keywords)


def _constant(node: ast.expr) -> bool:
    """Whether an expression is made of numbers and of names of constants only."""
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) in ("max", "min") and all(map(_constant, node.args))
    if isinstance(node, ast.BinOp):
        return _constant(node.left) and _constant(node.right)
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return isinstance(node, ast.Constant) or name.isupper()


@pytest.mark.parametrize(
    ("text", "blind"),
    [
        ("asyncio.sleep(0.1)", True), ("asyncio.sleep(0)", False), ("asyncio.sleep(PAUSE_SECONDS)", True),
        ("asyncio.sleep(max(LEASE, waiting.PAUSE) + 1)", True), ("asyncio.sleep(dice.uniform(1, 2))", False),
        ("asyncio.wait([task], timeout=0.1)", True), ("asyncio.wait([task], timeout=seconds)", False),
        ("asyncio.wait([task])", False), ("asyncio.wait_for(event.wait(), 60)", False),
    ],
)  # fmt: skip
def test_what_lets_time_pass_is_told_from_what_waits(text, blind):
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    assert _waits_blindly(call) == blind


def test_tests_neither_sleep_nor_mock():
    faults = [(source.path, fault) for source in below("tests") for fault in _sleeps_and_mocks(source)]
    none([fault for path, fault in faults if path not in SLEEPS])
    assert SLEEPS.keys() <= {path for path, _ in faults}, "an exception that nobody needs"
