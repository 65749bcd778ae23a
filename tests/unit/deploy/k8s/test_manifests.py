"""The manifests of Kubernetes: both overlays are sound, and each mistake that somebody might make is found."""

import pytest

from deploy.k8s import checks, mistakes, mutations, network, objects, pods, references, tools
from deploy.k8s.__main__ import main
from deploy.k8s.objects import Rendered
from services.runtime.caller import SUITE

OVERLAYS = tools.OVERLAYS
pytestmark = pytest.mark.timeout(600)  # trivy takes seconds of CPU to start, and a busy machine has few of them


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request) -> Rendered:
    return objects.rendered(request.param)


@pytest.fixture(scope="module")
def found():
    """What finds which mistake."""
    return mutations.found()


def test_the_overlays_and_the_dockerfiles_are_sound():
    faults = checks.all_of([objects.rendered(name) for name in OVERLAYS])
    assert "\n".join(map(str, faults)) == ""


def test_every_process_of_the_suite_is_there(overlay):
    assert {pod.name for pod in overlay.pods()} - {"postgresql"} == SUITE - {"operator"}


def test_a_gpu_is_asked_for_in_production_and_not_on_one_machine():
    gpus = {}
    for name in OVERLAYS:
        pod = objects.rendered(name).pod("worker")
        assert pod is not None
        gpus[name] = [one["resources"]["limits"].get("nvidia.com/gpu") for one in pod.sidecars]
    assert gpus == {"dev": [None], "prod": ["1"]}


def test_envoy_sheds_load_before_its_container_has_no_memory_left(overlay):
    """B1: a third more than Envoy may allocate, for all that it does not count."""
    pod = overlay.pod("edge")
    assert pod is not None
    (render,) = (one for one in pod.first if one["name"] == "render")
    (envoy,) = (one for one in pod.mains if one["name"] == "envoy")
    counted = int(overlay.environment(render).get("FILMGATE_EDGE_MEMORY_BYTES", 805_306_368))
    assert pods.quantity(envoy["resources"]["limits"]["memory"]) * 3 >= counted * 4


def test_production_has_no_database_of_its_own():
    assert objects.rendered("prod").pod("postgresql") is None
    assert objects.rendered("dev").pod("postgresql") is not None


@pytest.mark.parametrize("mutation", [*mistakes.TABLE, *mistakes.IMAGES], ids=lambda mutation: mutation.mistake)
def test_each_mistake_is_found_by_the_check_for_it(found, mutation):
    assert mutation.finder in {fault.check for fault in found[mutation.mistake]}


def test_mistakes_have_names_of_their_own():
    names = [mutation.mistake for mutation in (*mistakes.TABLE, *mistakes.IMAGES)]
    assert len(names) == len(set(names))


def test_a_secret_that_operators_are_asked_for_is_used():
    used = {
        volume["secret"]["secretName"]
        for name in OVERLAYS
        for pod in objects.rendered(name).pods()
        for volume in pod.volumes.values()
        if "secret" in volume
    }
    assert references.provided().keys() == {name for name in used if not name.endswith("-tls")}


def test_the_picture_is_read_arrow_by_arrow():
    drawn = network.arrows()
    assert {("client", "edge"), ("edge", "media"), ("worker", "pg"), ("prometheus", "worker")} <= drawn
    assert ("media", "pg") not in drawn
    assert not [name for arrow in drawn for name in arrow if not name.isalpha()]


@pytest.mark.parametrize(
    ("text", "number"), [("500m", 0.5), ("2", 2), ("1Ki", 1024), ("1.5Gi", 1.5 * 2**30), ("3k", 3000)]
)
def test_quantities_are_read_as_kubernetes_reads_them(text, number):
    assert pods.quantity(text) == number


def test_a_tool_that_is_missing_is_told_in_a_sentence(tmp_path):
    with pytest.raises(tools.ToolMissing, match="`make k8s` installs it"):
        tools.tool("trivy", tmp_path, ("Linux", "x86_64"))
    with pytest.raises(tools.ToolMissing, match="this is Darwin arm64"):
        tools.tool("trivy", tmp_path, ("Darwin", "arm64"))


def test_a_kustomization_that_names_what_is_not_there_is_refused(tmp_path):
    (tmp_path / "kustomization.yaml").write_text("resources: [missing.yaml]\n")
    with pytest.raises(ValueError, match=r"missing\.yaml"):
        tools.kustomize(tmp_path)


def test_the_command_renders_and_knows_its_uses(capsys):
    assert main(["render", "dev"]) == 0
    assert capsys.readouterr().out == objects.text("dev")
    assert main(["render", "elsewhere"]) == 2
    assert "mutations" in capsys.readouterr().err
