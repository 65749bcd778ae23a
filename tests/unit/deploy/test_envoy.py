"""The rendered configuration: sound by Envoy's own judgment, and ordered so that no route hides another."""

import re
import subprocess
import urllib.parse
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from deploy.envoy import connections, contracts, envoy, refusals, render, routes, tracing, upstreams
from deploy.local import certificates
from deploy.openapi import policies
from services.generation.config import MediaSettings
from services.runtime import server

DESCRIPTORS = Path(__file__).resolve().parents[3] / "gen" / "filmgate.pb"
ADDRESSES = {name: f"127.0.0.1:{port}" for port, name in enumerate(upstreams.NAMES, 8101)}


@pytest.fixture(scope="module")
def certs(tmp_path_factory) -> Path:
    return certificates.make(tmp_path_factory.mktemp("home"))


def settings(certs: Path, **changes) -> render.Settings:
    plain = {"addresses": ADDRESSES, "certificates": certs, "descriptors": DESCRIPTORS, "admin_socket": Path("/tmp/a")}  # noqa: S108
    return render.Settings(**{**plain, **changes})


def rendered(certs: Path, **changes) -> dict:
    return yaml.load(render.render(settings(certs, **{"connections_per_address": 0, **changes})), yaml.CSafeLoader)


def manager(configuration: dict) -> dict:
    """The public connection manager."""
    listeners = {row["name"]: row for row in configuration["static_resources"]["listeners"]}
    listener = listeners.get(connections.HTTP, listeners["public"])
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


@pytest.mark.parametrize("kind", ["embedded", "telemetry", "production"])
def test_envoy_finds_it_sound(certs, tmp_path, kind):
    changes = {
        "embedded": {},
        "telemetry": {"otlp_endpoint": f"unix:{tmp_path}/otlp.sock"},
        "production": {
            "addresses": {name: f"{name}.filmgate.svc:8101" for name in upstreams.NAMES},
            "bind": "0.0.0.0",
            "tls_certificate": certs / "edge.crt",
            "tls_key": certs / "edge.key",
            "trusted_proxies": 1,
            "cors_origins": ("https://app.example",),
            "access_log": tmp_path / "access.log",
            "otlp_endpoint": "https://collector.example:4317",
            "metrics_port": 8130,
        },
    }[kind]
    file = render.write(settings(certs, **changes), tmp_path / "envoy.yaml")
    done = subprocess.run(envoy.validate(file), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "eprecated" not in done.stderr


@pytest.mark.promise("KLING-A3.9")
def test_every_request_is_logged_with_its_account_and_its_key_or_session(certs, profile):
    [log] = manager(rendered(certs))["access_log"]
    assert "filter" not in log, "each request is logged"
    fields = log["typed_config"]["log_format"]["json_format"]
    for name in ("account", "credential"):
        assert fields[name] == f"%DYNAMIC_METADATA(envoy.filters.http.ext_authz:{name})%"


def test_without_an_endpoint_nothing_is_traced(certs):
    configuration = rendered(certs)
    assert "tracing" not in manager(configuration)
    assert tracing.OTLP not in {row["name"] for row in configuration["static_resources"]["clusters"]}


def test_with_an_endpoint_a_share_of_requests_is_traced_and_no_stranger_decides(certs):
    configuration = rendered(certs, otlp_endpoint="http://127.0.0.1:4317", trace_ratio=0.25)
    traced = manager(configuration)["tracing"]
    assert (traced["random_sampling"], traced["client_sampling"]) == ({"value": 25}, {"value": 0})
    assert tracing.OTLP in {row["name"] for row in configuration["static_resources"]["clusters"]}
    (early,) = manager(configuration)["early_header_mutation_extensions"]
    removed = {row["remove"] for row in early["typed_config"]["mutations"]}
    assert removed == {"x-request-id", *tracing.FORGED}


@pytest.mark.parametrize(
    "changes",
    [
        {"trace_ratio": 1.5},
        {"trace_ratio": -0.1},
        {"otlp_endpoint": "127.0.0.1:4317"},
        {"otlp_endpoint": "http://x"},
        {"otlp_endpoint": "unix:relative"},
    ],
)
def test_a_trace_setting_that_cannot_be_is_refused(certs, changes):
    with pytest.raises(ValueError, match=r"trace|OTLP"):
        render.render(settings(certs, **{"otlp_endpoint": "http://127.0.0.1:4317", **changes}))


def test_a_missing_address_is_named(certs):
    with pytest.raises(ValueError, match="media"):
        render.render(settings(certs, addresses=dict.fromkeys(upstreams.GRPC, "a:1")))


def test_a_certificate_needs_its_key(certs):
    with pytest.raises(ValueError, match="go together"):
        render.render(settings(certs, tls_certificate=certs / "edge.crt"))


def test_it_binds_to_loopback_unless_told_otherwise(certs):
    address = rendered(certs)["static_resources"]["listeners"][0]["address"]["socket_address"]
    assert address == {"address": "127.0.0.1", "port_value": 8080}


def test_no_placeholder_is_left(certs):
    assert "${" not in render.render(settings(certs))


def test_forged_headers_go_before_check_and_check_comes_before_the_transcoder(certs):
    names = [row["name"].removeprefix("envoy.filters.http.") for row in manager(rendered(certs))["http_filters"]]
    order = ["header_mutation", "cors", "local_ratelimit", "ext_authz", "grpc_json_transcoder", "router"]
    assert [name for name in names if name in order] == order


def test_every_upstream_is_known_by_its_name_over_tls_1_3(certs):
    clusters = {row["name"]: row for row in rendered(certs)["static_resources"]["clusters"]}
    assert clusters.keys() == {*upstreams.NAMES, "pages", routes.REFUSALS}
    peers = {**dict(zip(upstreams.NAMES, upstreams.NAMES, strict=True)), "pages": "media"}
    for cluster, name in peers.items():
        assert clusters[cluster]["transport_socket"]["typed_config"]["sni"] == name
        tls = clusters[cluster]["transport_socket"]["typed_config"]["common_tls_context"]
        assert tls["tls_params"]["tls_minimum_protocol_version"] == "TLSv1_3"
        assert tls["validation_context"]["match_typed_subject_alt_names"] == [
            {"san_type": "DNS", "matcher": {"exact": name}}
        ]


def test_every_published_method_has_one_route_and_asks_check(certs):
    table = manager(rendered(certs))["route_config"]["virtual_hosts"][0]["routes"]
    published = [*contracts.methods(DESCRIPTORS), *routes.plain_methods()]
    served = [row for row in table if row["name"].startswith("filmgate.")]
    assert sorted(row["name"] for row in served) == sorted(method.name for method in published)
    for row in served:
        check = row["typed_per_filter_config"][routes.AUTHZ]
        assert check["check_settings"]["context_extensions"]["method"] == row["name"]
    rest = [row for row in table if row not in served]
    assert all(row["typed_per_filter_config"][routes.AUTHZ] == routes.OFF for row in rest)
    assert not [row for row in rest if row.get("route", {}).get("cluster") in upstreams.NAMES]


def test_what_anybody_may_read_takes_few_connections_and_none_of_those_for_transfers(certs):
    """C2: strangers who asked for the reference at once, in numbers, kept downloads waiting."""
    configuration = rendered(certs)
    table = manager(configuration)["route_config"]["virtual_hosts"][0]["routes"]
    to = {method: {row["route"]["cluster"] for row in table if row["name"].endswith(method)} for method in
          ("GetPage", "GetPagePart", "GetDocument", "DownloadFile", "DownloadVideo", "UploadFile")}  # fmt: skip
    assert all(to[method] == {"pages"} for method in ("GetPage", "GetPagePart", "GetDocument"))
    assert all(to[method] == {"media"} for method in ("DownloadFile", "DownloadVideo", "UploadFile"))
    clusters = {row["name"]: row for row in configuration["static_resources"]["clusters"]}
    connections = {name: row["circuit_breakers"]["thresholds"][0]["max_connections"] for name, row in clusters.items()
                   if name in ("pages", "media")}  # fmt: skip
    assert connections == {"pages": 16, "media": 768}


def test_no_call_that_is_tried_again_outlives_the_grace_of_its_server():
    longest = max(
        method.seconds for method in contracts.methods(DESCRIPTORS) if not method.streaming and not method.plain
    )
    assert longest <= server.GRACE_SECONDS


def test_a_route_is_never_hidden_by_one_before_it(certs):
    served = [
        row
        for row in manager(rendered(certs))["route_config"]["virtual_hosts"][0]["routes"]
        if row["name"].startswith("filmgate.")
    ]
    paths = {
        (method.name, method.verb): method.path for method in [*contracts.methods(DESCRIPTORS), *routes.plain_methods()]
    }
    for row in served:
        verb = row["match"]["headers"][0]["string_match"]["exact"]
        path = re.sub(r"\{[a-z]+\}", "x", paths[row["name"], verb])
        assert next(other for other in served if _matches(other["match"], verb, path)) is row


def _matches(match: dict, verb: str, path: str) -> bool:
    if match["headers"][0]["string_match"]["exact"] != verb:
        return False
    return match["path"] == path if "path" in match else bool(re.fullmatch(match["safe_regex"]["regex"], path))


@pytest.mark.parametrize(
    ("path", "yes", "no"),
    [
        (
            "/v1/videos/{id}",
            ["/v1/videos/a", "/v1/videos/a:b", "/v1/videos/" + "x" * 300],
            ["/v1/videos/", "/v1/videos/a/"],
        ),
        (
            "/v1/videos/{id}:watch",
            ["/v1/videos/a:watch"],
            ["/v1/videos/:watch", "/v1/videos/a:watchx", "/v1/videos/a/b:watch"],
        ),
        ("/v1/a.b", ["/v1/a.b"], ["/v1/aXb"]),
    ],
)
def test_a_parameter_is_one_segment(path, yes, no):
    pattern = routes.pattern(path)
    assert all(re.fullmatch(pattern, text) for text in yes)
    assert not any(re.fullmatch(pattern, text) for text in no)


ESCAPES = st.binary(max_size=6).map(lambda raw: "".join(f"%{byte:02x}" for byte in raw))


@given(st.lists(st.one_of(ESCAPES, st.text("abc/?=&:%é ", max_size=4)), max_size=4).map("".join))
@example("%f0%90%80%80%ed%9f%bf%ee%80%80%f4%8f%bf%bf")
@example("%F4%90%80%80")
@example("%C1%81")
def test_a_readable_path_is_one_that_decodes_to_text(path):
    readable = bool(re.fullmatch(routes.READABLE, path))
    assert readable == _decodes(path)


def _decodes(path: str) -> bool:
    if not all("!" <= letter <= "~" for letter in path) or re.search(r"%(?![0-9A-Fa-f]{2})", path):
        return False
    try:
        text = urllib.parse.unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(letter >= " " and letter != "\x7f" for letter in text)


def test_the_words_of_a_refusal_fit_their_reason():
    rows = refusals.rows()
    assert rows[-1]["when"] == "true"
    for row in rows[1:]:
        assert 0 < row["code"] <= 16
        assert row["message"].endswith((".", "{detail}", "{upload}."))
    assert [row for row in rows if "reason" not in row] == rows[:1]


def test_a_route_that_asks_for_a_credential_and_no_scope_is_refused():
    scopes = policies.scopes(routes.PLAIN.parents[2] / "services")
    assert render.published(DESCRIPTORS, scopes)["routes"]
    for name, scope in (("filmgate.billing.v1.Wallets.GetWallet", ""), ("filmgate.auth.v1.Logins.SendCode", "keys")):
        with pytest.raises(ValueError, match=name.rpartition(".")[2]):
            render.published(DESCRIPTORS, {**scopes, name: scope})


def test_an_option_of_one_kind_only_is_no_contract(tmp_path):
    from google.api import annotations_pb2
    from google.protobuf import descriptor_pb2

    described = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    for file in described.file:
        for service in file.service:
            for method in service.method:
                method.options.ClearExtension(annotations_pb2.http)
    (tmp_path / "broken.pb").write_bytes(described.SerializeToString())
    with pytest.raises(ValueError, match=r"must have both"):
        contracts.methods(tmp_path / "broken.pb")


def test_a_call_with_json_lasts_no_longer_than_its_body_may_take_or_its_method(certs):
    """S5: one byte every 5 s held a connection for 301 s."""
    served = manager(rendered(certs))["route_config"]["virtual_hosts"][0]["routes"]
    lasting = {
        (row["name"], row["match"]["headers"][0]["string_match"]["exact"]): row["route"]
        for row in served
        if row["name"].startswith("filmgate.")
    }
    for method in [*contracts.methods(DESCRIPTORS), *routes.plain_methods()]:
        bound = lasting[method.name, method.verb].get("max_stream_duration")
        if method.streaming or (method.plain and method.verb != "HEAD"):
            assert bound is None, method
        elif method.verb in {"GET", "HEAD", "DELETE"}:
            assert (bound, method.seconds) == ({"max_stream_duration": "10.25s"}, 10), "between the edge's and gRPC's"
        else:
            assert bound == {"max_stream_duration": "15s"}, method
            assert method.seconds <= 15, method


def test_no_request_takes_longer_to_arrive_than_an_upload_may(certs):
    """Media refuses an upload after its own time, which begins when the headers have come."""
    public = manager(rendered(certs))
    headers, whole = (int(public[name].removesuffix("s")) for name in ("request_headers_timeout", "request_timeout"))
    assert (headers, whole) == (10, 65)
    assert whole == headers + MediaSettings.upload_seconds


def test_a_handshake_and_every_inner_request_end_too(certs):
    resources = rendered(certs, health_port=1, metrics_port=2)["static_resources"]
    listeners = {row["name"]: row for row in resources["listeners"]}
    assert listeners["public"]["filter_chains"][0]["transport_socket_connect_timeout"] == "10s"
    for name in ("health", "metrics"):
        inner = listeners[name]["filter_chains"][0]["filters"][0]["typed_config"]
        assert inner["request_timeout"] == "5s"


def test_every_address_has_a_chain_that_counts_and_no_other_way_in(certs):
    """S5: the chains count at the listener that strangers reach; TLS and HTTP are behind, inside the process."""
    resources = rendered(certs, connections_per_address=7, seed=1)["static_resources"]
    public, behind = resources["listeners"][:2]
    assert (public["name"], "socket_address" in public["address"]) == ("public", True)
    assert behind["name"] == connections.HTTP
    assert behind["address"] == {"pipe": {"path": "/tmp/http.sock", "mode": 0o600}}  # noqa: S108
    (option,) = public["socket_options"]
    assert (option["level"], option["name"], option["int_value"]) == (6, 18, 60_000), "TCP_USER_TIMEOUT"
    assert behind["ignore_global_conn_limit"]
    named = [row["name"] for row in public["filter_chains"]]
    assert sorted(_leaves(public["filter_chain_matcher"])) == sorted(named)
    assert len(set(named)) == connections.GROUPS
    for chain in public["filter_chains"]:
        limit, proxy = (row["typed_config"] for row in chain["filters"])
        assert limit["max_connections"] == 7
        assert proxy["cluster"] == connections.HTTP


def _leaves(matcher: dict) -> list[str]:
    ends = [matcher["on_no_match"], *(row["on_match"] for row in matcher["matcher_list"]["matchers"])]
    return [
        name
        for end in ends
        for name in (_leaves(end["matcher"]) if "matcher" in end else [end["action"]["typed_config"]["value"]])
    ]


@pytest.mark.parametrize("changes", [{"trusted_proxies": 1}, {"connections_per_address": 0}])
def test_the_connections_of_a_trusted_proxy_are_not_counted(certs, changes):
    text = render.render(settings(certs, **changes))
    assert "connection_limit" not in text
    assert yaml.safe_load(text)["static_resources"]["listeners"][0]["name"] == "public"


def test_a_limit_below_nothing_is_refused(certs):
    with pytest.raises(ValueError, match="connections_per_address"):
        render.render(settings(certs, connections_per_address=-1))


def test_memory_is_bounded_by_a_setting_with_a_floor(certs):
    """B1. What acts upon it is tried with the real Envoy, in tests/e2e/edge/test_memory.py."""
    monitors = rendered(certs, memory_bytes=10**8)["overload_manager"]["resource_monitors"]
    assert [row["typed_config"].get("max_heap_size_bytes") for row in monitors] == [None, 10**8]
    with pytest.raises(ValueError, match="memory_bytes is below 67108864"):
        render.render(settings(certs, memory_bytes=64 * 2**20 - 1))


def test_which_addresses_are_counted_together_cannot_be_known_beforehand(certs):
    assert settings(certs).seed != settings(certs).seed
