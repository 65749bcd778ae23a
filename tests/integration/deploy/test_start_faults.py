"""What a person must mend before the suite can start is told in one sentence, never by a traceback (review A1, A7)."""

import dataclasses
import os
import subprocess
import sys

import pytest

from deploy.local import ports
from deploy.local.config import ROOT
from deploy.local.suite import Suite

WORDS, TEXTS = "the word lists of moderation cannot be used: ", "FILMGATE_POLICY_TEXTS cannot be used: "


SERVICES = ("auth", "billing", "generation", "privacy")


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Databases of services that have started once, and have ended."""
    running = Suite(tmp_path_factory.mktemp("faulty") / ".filmgate", ports=ports.free(), names=["postgres", *SERVICES])
    try:
        running.start()
        for name in SERVICES:
            running.process(name).end()
        yield running
    finally:
        running.stop()


def said(suite, name, **settings):
    """What a service says that does not start."""
    ran = subprocess.run(
        [sys.executable, "-m", f"services.{name}", "serve"], env={**suite.env(name), **settings}, cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 1
    [line] = ran.stderr.splitlines()
    return line


def written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["auth", "billing", "generation"])
def test_an_unknown_profile(suite, name):
    found = said(suite, name, FILMGATE_PROFILE="klingg")
    assert found.startswith("cannot start: there is no profile 'klingg' in ")
    assert "kling," in found


def test_a_profile_with_a_strange_field(suite, tmp_path):
    own = written(tmp_path / "own.yaml", "limits: {codes: 3}\n")
    assert "cannot start: limits.codes is not a field" in said(suite, "auth", FILMGATE_PROFILE=str(own))


def test_a_profile_that_is_no_yaml(suite, tmp_path):
    own = written(tmp_path / "own.yaml", "limits: [\n")
    assert said(suite, "auth", FILMGATE_PROFILE=str(own)).startswith(f"cannot start: profile {own} cannot be read: ")


def test_a_profile_in_another_currency(suite, tmp_path):
    own = written(tmp_path / "own.yaml", "trial_credit: {currency: EUR}\n")
    found = said(suite, "billing", FILMGATE_PROFILE=str(own))
    assert found.startswith("cannot start: the profile's trial credit is in EUR, the price book in CNY")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"violence", "not `category: term`"),
        (b"violence: \xff", "'utf-8' codec"),
        (None, "there is no word list 'common'"),
    ],
)
def test_a_bad_word_list(suite, tmp_path, content, words):
    if content is not None:
        written(tmp_path / "words" / "common" / "en.txt", "").write_bytes(content)
    found = said(suite, "generation", FILMGATE_WORD_LISTS=str(tmp_path / "words"))
    assert found.startswith(f"cannot start: {WORDS}")
    assert words in found


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, f"{TEXTS}"),
        ({"terms/first.md": "# Terms\n"}, "a text is called 0001.en.md"),
        ({"terms/0001.en.md": "Terms\n"}, "begins with `# ` and its title"),
        ({"rules/0001.en.md": "# Rules\n"}, "rules/0001.*.md cannot be published: "),
        ({"terms/0001.en.md": "# Other\n"}, "differs from the published version 1"),
    ],
)
def test_bad_policy_texts(suite, tmp_path, files, words):
    for name, text in files.items():
        written(tmp_path / "texts" / name, text)
    found = said(suite, "privacy", FILMGATE_POLICY_TEXTS=str(tmp_path / "texts"))
    assert found.startswith("cannot start: ")
    assert words in found


def test_a_bad_file_of_service_accounts(suite, tmp_path):
    own = written(tmp_path / "accounts.yaml", "reports: {}\n")
    found = said(suite, "auth", FILMGATE_SERVICE_ACCOUNTS=str(own))
    assert found.startswith(f"cannot start: FILMGATE_SERVICE_ACCOUNTS {own} cannot be used: service account reports")


def test_make_up_says_it_and_ends(tmp_path):
    chosen = {f"FILMGATE_{name.upper()}": str(port) for name, port in dataclasses.asdict(ports.free()).items()}
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", **chosen,
        "FILMGATE_HOME": str(tmp_path / ".filmgate"), "FILMGATE_PROFILE": "klingg",
    }  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-m", "deploy.local", "up"], env=environment, cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=180,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "Traceback" not in ran.stdout + ran.stderr
    [line] = ran.stderr.splitlines()
    assert line.startswith("Filmgate could not start: ")
    assert "cannot start: there is no profile 'klingg'" in line
