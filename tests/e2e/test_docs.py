"""Every example of docs/api.md and of the README is run, and answers what the page shows."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from deploy.envoy import contracts
from deploy.local import picture

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "=== end of block ==="


def _pairs(page: str) -> list[tuple[str, Any]]:
    """Each shell block with the JSON that the page shows right after it, or None."""
    text = (ROOT / page).read_text()
    found = list(BLOCK.finditer(text))
    rows = []
    for block, after in zip(found, [*found[1:], None], strict=True):
        shows = after and after.group(1) == "json" and not text[block.end() : after.start()].strip()
        if block.group(1) == "sh":
            rows.append((block.group(2), json.loads(after.group(2)) if shows else None))
    return rows


def _run(blocks: list[str], folder: Path, environment: dict[str, str]) -> list[str]:
    script = "set -euo pipefail\n" + "".join(f"{block}\necho; echo '{MARK}'\n" for block in blocks)
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout.split(MARK)[:-1]


def _holds(shown: Any, real: Any, path: str = "") -> None:
    """What the page shows is there: the keys, and the values that are not elided as `...` or empty."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            assert name in real, f"{path}.{name} is not in the answer"
            _holds(value, real[name], f"{path}.{name}")
    elif isinstance(shown, list):
        for one, two in zip(shown, real, strict=False):
            _holds(one, two, f"{path}[]")
        assert len(real) >= len(shown), f"{path} is shorter than shown"
    elif not (isinstance(shown, str) and "..." in shown):
        assert shown == real, f"{path}: the page shows {shown!r}, the answer is {real!r}"


async def test_every_example_of_the_api_page_works(suite, customer, tmp_path):
    (tmp_path / "picture.png").write_bytes(picture.lighthouse(640, 360))
    pairs = _pairs("docs/api.md")
    environment = {"PATH": "/usr/bin:/bin", "FILMGATE": suite.url, "KEY": customer.credential}
    answers = _run([block for block, _ in pairs], tmp_path, environment)
    assert len(answers) == len(pairs) >= 15
    for answer, (block, shown) in zip(answers, pairs, strict=True):
        if shown is not None:
            _holds(shown, json.loads(answer), block.strip().splitlines()[-1][:60])
    assert (tmp_path / "head.mp4").stat().st_size == 100
    assert b"ftyp" in (tmp_path / "video.mp4").read_bytes()[:32]


async def test_the_lines_of_the_readme_work(suite, customer, tmp_path):
    lines = [line for block, _ in _pairs("README.md") for line in block.strip().splitlines()]
    environment = {"PATH": "/usr/bin:/bin", "FILMGATE": suite.url, "KEY": customer.credential}
    models, wallet, video = (json.loads(answer) for answer in _run(lines, tmp_path, environment))
    assert models["models"][0]["id"] == "animatic"
    assert wallet["available"]["currency_code"] == "CNY"
    assert video["state"] == "QUEUED"


async def test_the_page_names_every_published_method():
    page = (ROOT / "docs/api.md").read_text()
    for method in contracts.methods(ROOT / "gen/filmgate.pb"):
        assert method.name.rpartition("/")[2] in page, f"docs/api.md does not name {method.name}"
        assert method.path in page, f"docs/api.md does not show {method.path}"
