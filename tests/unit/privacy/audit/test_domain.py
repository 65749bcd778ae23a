"""Rules of audit events."""

import pytest

from services.privacy.audit import domain
from services.runtime.errors import Failure


@pytest.mark.parametrize(
    ("service", "peer"),
    [
        ("auth", "auth"),
        ("generation", "worker"),
        ("generation", "media"),
        ("worker", "generation"),
        ("privacy", "privacy"),
    ],
)
def test_a_process_reports_for_its_own_service(service: str, peer: str):
    domain.check_source(service, peer)


@pytest.mark.parametrize(
    ("service", "peer"), [("auth", "billing"), ("privacy", "worker"), ("operator", "auth"), ("", "auth")]
)
def test_no_process_reports_for_another(service: str, peer: str):
    with pytest.raises(Failure, match=r"event\.service"):
        domain.check_source(service, peer)


@pytest.mark.parametrize("detail", [{}, {"k" * 40: "v" * 200}, {f"{number}": "" for number in range(20)}])
def test_details_within_the_limits_are_good(detail: dict[str, str]):
    domain.check_detail(detail)


@pytest.mark.parametrize(
    "detail", [{"": "v"}, {"k" * 41: "v"}, {"k": "v" * 201}, {f"{number}": "" for number in range(21)}]
)
def test_details_beyond_the_limits_are_refused(detail: dict[str, str]):
    with pytest.raises(Failure, match=r"event\.detail"):
        domain.check_detail(detail)
