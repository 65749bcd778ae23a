"""A few thousand requests made from the OpenAPI document, through Envoy to the whole suite.

Whatever is sent, the answer is one that the document has.
"""

import json
import sys

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import (
    CoveragePhaseConfig,
    GenerationConfig,
    PhasesConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)

from tests.support.fuzz import DOCUMENT, Crowd

SEED = 20261122
EXAMPLES = 40
GENERATION = GenerationConfig(allow_x00=False, with_security_parameters=False)
OTHER_VERBS = {"PUT", "OPTIONS", "TRACE"}
"""Verbs that no path is served with. QUERY is not among them: without a content type it is no valid request at all."""
PHASES = PhasesConfig(coverage=CoveragePhaseConfig(unexpected_methods=OTHER_VERBS))
PROJECT = ProjectConfig(generation=GENERATION, phases=PHASES)
CONFIG = SchemathesisConfig(seed=SEED, projects=ProjectsConfig(default=PROJECT))
SCHEMA = schemathesis.openapi.from_dict(json.loads(DOCUMENT.read_text()), config=CONFIG)


@pytest.fixture(scope="module")
def crowd(suite):
    """The same customers for all operations; says at the end how much was sent."""
    gathered = Crowd(suite, SEED)
    yield gathered
    sys.stderr.write(f"\nfuzz: {gathered.sent} requests with seed {SEED}\n")


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_has(case, crowd):
    crowd.ask(case)
