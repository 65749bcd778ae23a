"""What the supervisor says of models that cannot be loaded; without torch, since the weights are looked at first."""

import re

import pytest

from deploy.local import certificates, ports, ready
from deploy.local.suite import Suite, SuiteError

UNSET = "FILMGATE_WAN_WEIGHTS is not set: it names the folder with the weights."


def only_triton(folder, models, said):
    settings = {"FILMGATE_MODELS": models}
    return Suite(folder / ".filmgate", ports.free(), settings, ["triton"], said.append)


def test_the_others_are_offered_and_a_person_is_told_why_one_is_not(tmp_path):
    said = []
    suite = only_triton(tmp_path, "animatic, wan", said)
    try:
        suite.start()
        assert suite.models() == {"animatic": "", "wan": UNSET}
        assert suite.answers("triton")
    finally:
        suite.stop()
    assert f"  wan          is not offered: {UNSET}" in said


def test_a_suite_that_could_offer_nothing_does_not_start(tmp_path):
    with pytest.raises(SuiteError, match=re.escape(UNSET)):
        only_triton(tmp_path, "wan", []).start()


def test_a_server_that_does_not_listen_has_no_models(tmp_path):
    certs = certificates.make_triton(tmp_path)
    assert ready.models(9, certs) == {}
    assert not ready.makes_videos(9, certs)
