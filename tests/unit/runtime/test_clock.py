"""The business time moves by a file, on loopback only; the host's time stays; what cannot be read decides nothing."""

import datetime
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.auth import __main__ as auth
from services.billing import __main__ as billing
from services.generation import __main__ as generation
from services.privacy import __main__ as privacy
from services.runtime import clock, ids, telemetry
from services.runtime.clock import ClockUnreadable, SystemClock
from tests.support.source import ROOT

DAY = datetime.timedelta(days=1)
SECOND = datetime.timedelta(seconds=1)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """The file that this process follows from `clock.follow` on, to the end of the test."""
    yield tmp_path / "offset"
    clock.follow(None, "127.0.0.1")


def write(file: Path, text: str) -> None:
    """As a suite of tests does: whole or not at all."""
    part = file.with_suffix(".part")
    part.write_text(text)
    part.rename(file)


def ahead() -> datetime.timedelta:
    """How far the business time is before the host's."""
    return SystemClock().now() - datetime.datetime.now(datetime.UTC)


def test_without_a_file_business_time_is_the_hosts() -> None:
    clock.follow(None, "0.0.0.0")
    assert abs(ahead()) < SECOND


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("0", 0),
        ("", 0),
        ("86400", 86400),
        ("3456000\n", 3456000),
        ("0.5", 0.5),
        ("9999999999.999999", 9999999999.999999),
    ],
)
def test_business_time_is_ahead_by_the_offset(file: Path, text: str, moved: float) -> None:
    write(file, text)
    clock.follow(file, "127.0.0.1")
    assert abs(ahead() - datetime.timedelta(seconds=moved)) < SECOND / 2
    assert abs(SystemClock().real_now() - datetime.datetime.now(datetime.UTC)) < SECOND / 2


def test_an_offset_counts_from_the_look_after_it_was_written(file: Path) -> None:
    clock.follow(file, "127.0.0.1")
    assert abs(ahead()) < SECOND
    for days in (1, 2, 40):
        write(file, str(days * 86400))
        assert abs(ahead() - days * DAY) < SECOND


def test_ids_follow_the_business_time_as_create_time_does(file: Path) -> None:
    before = ids.new("vid")
    write(file, "86400")
    clock.follow(file, "127.0.0.1")
    after = ids.new("vid")
    clock.follow(None, "127.0.0.1")
    assert before[:14] <= ids.new("vid")[:14] < after[:14]


BAD = [
    "x",
    "-1",
    "1e3",
    "inf",
    "nan",
    " 5",
    "5 ",
    "5\n\n",
    "1,5",
    "10000000000",
    "0x10",
    "٥",
    "1.1234567",
    "5\0",
    "1" * 99,
]


@pytest.mark.parametrize("text", BAD)
def test_a_process_does_not_follow_what_is_no_offset(file: Path, text: str) -> None:
    write(file, text)
    with pytest.raises(ClockUnreadable, match=r"FILMGATE_CLOCK_FILE .*offset does not hold seconds in decimal"):
        clock.follow(file, "127.0.0.1")
    assert abs(ahead()) < SECOND


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ClockUnreadable, match="is no file"):
            clock.follow(place, "127.0.0.1")
    (tmp_path / "file").write_text("5")
    with pytest.raises(ClockUnreadable, match="cannot be read"):
        clock.follow(tmp_path / "file" / "below", "127.0.0.1")


def test_a_file_that_goes_bad_refuses_each_look_and_says_so_once(file: Path, capsys: pytest.CaptureFixture) -> None:
    telemetry.configure("test")
    write(file, "86400")
    clock.follow(file, "127.0.0.1")
    write(file, "tomorrow")
    for _ in range(3):
        with pytest.raises(ClockUnreadable):
            SystemClock().now()
    with pytest.raises(ClockUnreadable):
        ids.new("vid")
    assert abs(SystemClock().real_now() - datetime.datetime.now(datetime.UTC)) < SECOND
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [said] = [line for line in lines if line["event"] == "clock_unreadable"]
    assert said["level"] == "error"
    assert said["reason"] == "does not hold seconds in decimal, such as 86400 or 0.5"
    assert abs(datetime.datetime.fromisoformat(said["time"]) - datetime.datetime.now(datetime.UTC)) < 10 * SECOND
    write(file, "86401")
    assert abs(ahead() - DAY) < 2 * SECOND


@pytest.mark.parametrize("later", ["86399", "0", "", None])
def test_business_time_never_goes_back(file: Path, later: str | None) -> None:
    write(file, "86400")
    clock.follow(file, "127.0.0.1")
    assert ahead() > DAY - SECOND
    file.unlink() if later is None else write(file, later)
    with pytest.raises(ClockUnreadable, match=r"goes back from 86400 to \d+ s"):
        SystemClock().now()


@pytest.mark.parametrize("bind", ["0.0.0.0", "10.0.0.7", "::"])
def test_a_moved_clock_stays_on_loopback(file: Path, bind: str) -> None:
    with pytest.raises(RuntimeError, match=f"with a clock that tests move .* loopback only, not on {re.escape(bind)}"):
        clock.follow(file, bind)


COMMANDS = [
    *((auth.main, ["serve"]), (auth.main, ["migrate"])),
    *((billing.main, ["serve"]), (billing.main, ["migrate"]), (billing.main, ["unpark", "org_1"])),
    *((generation.main, [command]) for command in ("serve", "media", "work", "migrate")),
    *((privacy.main, ["serve"]), (privacy.main, ["migrate"])),
]


def test_no_command_of_a_process_starts_with_a_moved_clock_off_loopback_or_a_bad_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each refuses before it has touched anything: there is no database, and no certificate."""
    write(file, "x")
    monkeypatch.setenv("FILMGATE_CLOCK_FILE", str(file))
    for command, arguments in COMMANDS:
        for bind, words in (("127.0.0.1", "does not hold seconds"), ("0.0.0.0", "on loopback only, not on 0.0.0.0")):
            monkeypatch.setenv("FILMGATE_BIND", bind)
            with pytest.raises(RuntimeError, match=words):
                command(arguments)


def test_a_process_ends_with_one_sentence(tmp_path: Path) -> None:
    """The last line of its log says all; a supervisor shows that."""
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", "FILMGATE_BIND": "0.0.0.0"}
    environment["FILMGATE_CLOCK_FILE"] = str(tmp_path / "offset")
    command = [sys.executable, "-m", "services.privacy", "serve"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "RuntimeError: with a clock that tests move this process listens on loopback only, not on 0.0.0.0"
    )
