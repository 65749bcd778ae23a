"""System packages are found before anything starts, and a person is told the one command."""

import sys

from deploy.local import packages


def package(name, present):
    return packages.Package(name, "is needed", lambda: present)


def test_only_what_is_absent_is_missing():
    here, absent = package("here", present=True), package("absent", present=False)
    assert packages.missing([here, absent]) == [absent]


def test_this_machine_has_what_the_makefile_installed():
    assert packages.missing(packages.needed(sys.version_info[:2])) == []


def test_libpython_of_another_version_is_missing():
    names = [found.name for found in packages.missing(packages.needed((3, 77)))]
    assert names == ["libpython3.77"]


def test_the_command_names_every_package_once():
    said = packages.command([package("python3-venv", present=False), package("libpython3.11", present=False)])
    assert said.endswith("apt-get install -y --no-install-recommends python3-venv libpython3.11")


def test_other_platforms_are_told_in_a_sentence():
    assert packages.platform_fault("Linux", "x86_64", (3, 11)) is None
    assert packages.platform_fault("Linux", "x86_64", (3, 13)) is None
    assert "3.12" in packages.platform_fault("Linux", "x86_64", (3, 12))
    assert "Darwin arm64" in packages.platform_fault("Darwin", "arm64", (3, 12))
    assert "3.9" in packages.platform_fault("Linux", "x86_64", (3, 9))
