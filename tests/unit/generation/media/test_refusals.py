"""What media answers for a refusal, in HTTP's numbers."""

import grpc

from deploy.openapi.reasons import STATUS
from services.generation.media import refusals
from services.runtime import errors

NEVER = {"CANCELLED", "UNIMPLEMENTED"}
"""Codes that no reason of ours bears."""


def test_media_answers_a_code_as_the_edge_does():
    kinds = {code: errors.Kind("TEST", grpc.StatusCode[code], "A test.") for code in STATUS.keys() - NEVER}
    answered = {code: refusals.response(kind(), "req_test").status for code, kind in kinds.items()}
    assert answered == {code: status for code, status in STATUS.items() if code not in NEVER}
