"""A few thousand requests made from the OpenAPI document, through Envoy to the whole suite.

Whatever is sent, the answer is one that the document has.
"""

import json
import sys
from collections.abc import Callable

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.config import (
    CoveragePhaseConfig,
    GenerationConfig,
    PhasesConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)

from tests.support.fuzz import DOCUMENT, Crowd

pytestmark = pytest.mark.group("fuzz")

SEED = 20261122
EXAMPLES = 40
GENERATION = GenerationConfig(allow_x00=False, with_security_parameters=False)
OTHER_VERBS = {"PUT", "OPTIONS", "TRACE"}
"""Verbs that no path is served with. QUERY is not among them: without a content type it is no valid request at all."""
PHASES = PhasesConfig(coverage=CoveragePhaseConfig(unexpected_methods=OTHER_VERBS))
PROJECT = ProjectConfig(generation=GENERATION, phases=PHASES)
CONFIG = SchemathesisConfig(seed=SEED, projects=ProjectsConfig(default=PROJECT))
DOCUMENTED = json.loads(DOCUMENT.read_text())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENTED, config=CONFIG)
MIN_REQUESTS = 250
"""Requests that each process of the tests must have sent; both together send about 3,000."""


@pytest.fixture(scope="module")
def crowd(suite):
    """The same customers for all operations; says at the end how much was sent."""
    gathered = Crowd(suite, SEED)
    yield gathered
    assert gathered.sent > MIN_REQUESTS
    sys.stderr.write(f"\nfuzz: {gathered.sent} requests with seed {SEED}\n")


def _test_of(label: str) -> Callable[..., None]:
    """The test of one operation. As one test with a parameter all would share an id, and xdist would run but one."""

    @pytest.mark.timeout(600)
    @SCHEMA.include(name=label).parametrize()
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def every_answer_is_one_that_the_document_has(case: Case, crowd: Crowd) -> None:
        crowd.ask(case)

    return every_answer_is_one_that_the_document_has


for _path, _item in DOCUMENTED["paths"].items():
    for _verb, _operation in _item.items():
        globals()[f"test_every_answer_of_{_operation['operationId']}"] = _test_of(f"{_verb.upper()} {_path}")
