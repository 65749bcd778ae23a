"""The Dockerfiles against what they are made of: the files that they copy, and the locks that they install."""

import re

import pytest
from packaging.requirements import Requirement

from deploy.k8s import tools
from deploy.local import torch

PIN = re.compile(r"^([\w.-]+==[^\\]+)", re.MULTILINE)
THERE = {"python_version": "3.12", "python_full_version": "3.12.3", "sys_platform": "linux", "platform_system": "Linux"}
"""The Python of Triton's image."""
LOCKS = {
    "suite": tools.ROOT / "requirements.lock",
    "models": tools.ROOT / "services" / "generation" / "triton" / "requirements.lock",
    "wan": tools.ROOT / "services" / "generation" / "triton" / "wan" / "requirements.lock",
    "image": tools.FOLDER / "wan.lock",
}


def pins(name: str) -> dict[str, str]:
    """The versions of a lock by name, as they hold in Triton's image."""
    lines = [Requirement(line.strip()) for line in PIN.findall(LOCKS[name].read_text())]
    held = [line for line in lines if line.marker is None or line.marker.evaluate(THERE)]
    return {line.name: str(line.specifier) for line in held}


def copied(text: str) -> set[str]:
    """What a Dockerfile takes from the folder that it is built in."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)
    return {source for line in lines for source in line.split()[:-1]}


@pytest.mark.parametrize("file", tools.DOCKERFILES, ids=lambda file: file.name)
def test_what_a_dockerfile_copies_is_there_and_let_in(file):
    let_in = [line[1:] for line in (tools.ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for source in copied(file.read_text()):
        assert (tools.ROOT / source).exists(), source
        assert any(source == path or source.startswith(f"{path}/") for path in let_in), source


def test_nothing_is_let_in_that_no_dockerfile_copies():
    taken = {source for file in tools.DOCKERFILES for source in copied(file.read_text())}
    for line in (tools.ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            assert any(source == line[1:] or source.startswith(f"{line[1:]}/") for source in taken), line


@pytest.mark.parametrize("other", ["models", "wan"])
def test_triton_in_the_image_has_the_packages_that_are_tested(other):
    image, tested = pins("image"), pins(other)
    assert {name: version for name, version in tested.items() if name in image and image[name] != version} == {}
    if other == "wan":
        assert tested.keys() <= image.keys()


def test_torch_in_the_image_is_the_tested_one():
    assert pins("image")["torch"] == f"=={torch.VERSION}"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_hashes_and_names_no_place(name):
    text = LOCKS[name].read_text()
    assert "://" not in text
    packages = re.split(r"\n(?=\w)", text.strip())
    assert not [package.split()[0] for package in packages if "--hash=sha256:" not in package]
