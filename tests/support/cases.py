"""One test over many cases: cheaper than a test for each, and its failure still names every case that fails."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

MAX_SHOWN = 300
"""Characters of one case's message; the first case is shown whole below."""


def each(
    names: str | Sequence[str], cases: Iterable[Any], ids: Callable[[Any], str] | Sequence[str] = str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test with every case, in one test. Takes what `pytest.mark.parametrize` takes.

    `ids` is the name of each case, or what makes it of a case. The test is not a coroutine; its other arguments are
    fixtures, which all cases share. Raises ValueError when there is no case: such a test could not fail.
    """
    keys, rows = [names] if isinstance(names, str) else list(names), list(cases)
    called = [ids(row) for row in rows] if callable(ids) else list(ids)
    if not rows or len(called) != len(rows):
        raise ValueError(f"{len(rows)} cases of {keys} and {len(called)} names for them")

    def over(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            faults: dict[str, BaseException] = {}
            for name, row in zip(called, rows, strict=True):
                values = {keys[0]: row} if isinstance(names, str) else dict(zip(keys, row, strict=True))
                try:
                    test(**values, **fixtures)
                except (Exception, pytest.fail.Exception) as fault:  # noqa: BLE001  every fault of a case is told
                    faults[name] = fault
            if faults:
                told = [f"  {name}: {_told(fault)}" for name, fault in faults.items()]
                first = next(iter(faults.values()))
                raise AssertionError("\n".join([f"{len(faults)} of {len(rows)} cases fail:", *told])) from first

        kept = [row for name, row in inspect.signature(test).parameters.items() if name not in keys]
        run.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]  what pytest reads: fixtures only
        return run

    return over


def _told(fault: BaseException) -> str:
    """The fault in one line, with the line of the test where it came up."""
    last = fault.__traceback__
    while last and last.tb_next and not _is_test(last.tb_frame.f_code.co_filename):
        last = last.tb_next
    where = f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else ""
    words = " ".join(str(fault).split())
    return f"{type(fault).__name__} in {where}: {words[:MAX_SHOWN]}"


def _is_test(path: str) -> bool:
    return Path(path).name.startswith("test_")
