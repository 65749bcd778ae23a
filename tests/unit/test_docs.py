"""What the docs name exists: files, functions, settings, and links between pages."""

import ast
import dataclasses
import json
import re
from pathlib import Path

import pytest

from deploy.envoy.settings import EdgeSettings
from deploy.local.config import Config
from deploy.local.ports import Ports
from deploy.observability.local import WatchPorts
from services.auth.config import AuthSettings
from services.billing.config import BillingSettings
from services.generation import errors
from services.generation.config import GenerationSettings, MediaSettings
from services.generation.triton.wan import weights
from services.generation.worker.config import WorkerSettings
from services.privacy.config import PrivacySettings

SETTINGS = (
    *(AuthSettings, BillingSettings, GenerationSettings, MediaSettings, WorkerSettings, PrivacySettings),
    *(EdgeSettings, Ports, Config, WatchPorts),
)
SETTING = re.compile(r"`(FILMGATE_\w+)`")
# The supervisor hands each process its own; the page names the pattern or the ports instead.
PATTERN = re.compile(r"FILMGATE_(HEALTH_PORT|METRICS_PORT|\w+_ADDRESS)")
ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`((?:services|deploy|tests|protos)/[\w./-]+\.py):([\w.]+)`")
PATH = re.compile(r"`((?:services|deploy|tests|protos|docs|profiles)/[\w./-]*)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])


def _defined(path: Path) -> set[str]:
    """Every class and function of a file, methods as `Class.method`."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (inner for inner in node.body if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef))
            names |= {f"{node.name}.{inner.name}" for inner in methods}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_function_that_a_page_names_exists(page):
    for file, name in NAMED.findall(page.read_text()):
        assert (ROOT / file).is_file(), f"{page.name} names {file}"
        assert name in _defined(ROOT / file), f"{page.name} names {name} in {file}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_and_link_of_a_page_exists(page):
    text = page.read_text()
    for path in [*PATH.findall(text), *(str((page.parent / link).relative_to(ROOT)) for link in LINK.findall(text))]:
        assert (ROOT / path).exists() or "<" in path, f"{page.name} names {path}"


def test_the_life_of_a_video_is_told_from_envoy_to_the_settled_film():
    told = (ROOT / "docs/architecture.md").read_text()
    for step in ("Authorization.Check", "Admission.begin", "Admission.accept", "Maker.generate", "VideoJobs.settle"):
        assert step in told


def test_the_page_for_operators_names_exactly_the_settings_that_exist():
    told = set(SETTING.findall((ROOT / "docs/operations.md").read_text()))
    fields = (field for settings in SETTINGS for field in dataclasses.fields(settings))
    exist = {f"FILMGATE_{field.name.upper()}" for field in fields if not field.metadata.get("fixed")}
    exist.add(weights.SETTING)  # Triton's own process has no settings class
    hidden = {name for name in exist if PATTERN.fullmatch(name)}
    assert told - hidden == exist - hidden


def test_the_error_that_the_api_page_shows_is_one_of_ours():
    page = (ROOT / "docs/api.md").read_text()
    shown = json.loads(page[page.index("```json") + 7 : page.index("```", page.index("```json") + 7)])
    info = shown["details"][0]
    metadata = {name: text for name, text in info["metadata"].items() if name != "request_id"}
    assert info["reason"] == errors.BALANCE_TOO_LOW.reason
    assert (info["domain"], shown["message"]) == (errors.DOMAIN, errors.BALANCE_TOO_LOW(**metadata).message)
    assert shown["code"] == errors.BALANCE_TOO_LOW.code.value[0]
