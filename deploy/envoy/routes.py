"""Envoy's routes: one per published method, and what refuses everything else."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.envoy.contracts import Method

PLAIN = Path(__file__).with_name("plain_routes.yaml")
TYPE = "type.googleapis.com/envoy."
AUTHZ, TRANSCODER, CORS = (f"envoy.filters.http.{name}" for name in ("ext_authz", "grpc_json_transcoder", "cors"))
JSON_SIZE, NO_BODY, PATH_FOR_LOG = "json_size", "no_body", "path_for_log"
OFF = {"@type": f"{TYPE}config.route.v3.FilterConfig", "disabled": True}
UNSERVED = {JSON_SIZE: OFF, NO_BODY: OFF, PATH_FOR_LOG: OFF, AUTHZ: OFF, TRANSCODER: OFF}
REFUSALS = "refusals"
"""The cluster that leads to Envoy's own listener of the same name."""
PAGES = "pages"
"""The cluster of what anybody may read without a credential: media, by connections of its own."""
SET = "OVERWRITE_IF_EXISTS_OR_ADD"
BODILESS = ("GET", "HEAD")
"""Verbs whose requests have no body here; RFC 9110 (9.3.1) gives such a body no meaning."""
READS = {"name": ":method", "string_match": {"safe_regex": {"regex": "|".join(BODILESS)}}}
UNREAD = (*BODILESS, "DELETE")
"""Verbs of whose requests no service reads a body."""
BODIED, ENCODED = "bodied", "encoded"
"""Names of the routes that refuse a body where none belongs, and a compressed one; refusals.yaml knows them."""
# A service sees of a request what it needs: no credential of a customer goes past the edge, and their address goes as
# x-filmgate-address alone.
NOT_FORWARDED = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "forwarded",
    "x-forwarded-for",
    "x-envoy-original-path",
    "x-envoy-original-method",
]
IDLE = "60s"
BODY_SECONDS = 15
"""How long a call with a JSON body may last in all, so that 64 KiB that come byte by byte hold no connection (S5).
Envoy bounds the arrival of a body alone for all routes or none, and uploads take longer."""
GRACE_MILLISECONDS = 500
"""How much longer a service may think than the edge waits: the edge gives up first, since it says so in words, while a
gRPC server past its deadline only ends the stream."""

_TAIL = r"%[89ABab][0-9A-Fa-f]"
READABLE = "(?:{})*".format(
    "|".join(
        (
            r"[!-$&-~]|%(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e])",
            rf"%(?:[Cc][2-9A-Fa-f]|[Dd][0-9A-Fa-f]){_TAIL}",
            rf"%[Ee]0%[ABab][0-9A-Fa-f]{_TAIL}",
            rf"%[Ee][1-9A-Ca-cE-Fe-f]{_TAIL}{_TAIL}",
            rf"%[Ee][Dd]%[89][0-9A-Fa-f]{_TAIL}",
            rf"%[Ff]0%[9ABab][0-9A-Fa-f]{_TAIL}{_TAIL}",
            rf"%[Ff][1-3]{_TAIL}{_TAIL}{_TAIL}",
            rf"%[Ff]4%8[0-9A-Fa-f]{_TAIL}{_TAIL}",
        )
    )
)
"""A path with its query whose escapes are UTF-8 text (RFC 3629) without control characters. Envoy hands on any other,
and no service could decode it."""


def plain_methods() -> list[Method]:
    """The published paths that are no RPC."""
    return [
        Method(
            name=row["method"],
            verb=row["verb"],
            path=row["path"],
            gate=row["gate"],
            strictness=row["strictness"],
            seconds=row["timeout_seconds"],
            plain=True,
            scope=row.get("scope", ""),
        )
        for row in yaml.safe_load(PLAIN.read_text())
    ]


def routes(methods: Iterable[Method]) -> list[dict[str, Any]]:
    """All routes but the preflight, in the order in which Envoy tries them: refusals, the most specific path first,
    and last what refuses the rest."""
    ordered = sorted(methods, key=lambda method: (_rank(method.path), method.path, method.verb))
    return [
        _grpc(),
        _refusal("unreadable", 400, {"prefix": "/", "headers": [_UNREADABLE]}),
        *_bodies(),
        *(_route(method) for method in ordered),
        *_other_verbs(ordered),
        _refusal("unknown", 404, {"prefix": "/"}),
        _refusal("connect", 404, {"connect_matcher": {}}),
    ]


def preflight(cors: Mapping[str, Any]) -> dict[str, Any]:
    """The route of a browser's question before a call. The CORS filter answers it by the policy `cors`, which it does
    on routes to a cluster only; none gets as far as the cluster."""
    asks = ("origin", "access-control-request-method")
    headers: list[dict[str, Any]] = [{"name": ":method", "string_match": {"exact": "OPTIONS"}}]
    headers += [{"name": name, "string_match": {"safe_regex": {"regex": ".+"}}} for name in asks]
    return {
        "name": "preflight",
        "match": {"prefix": "/", "headers": headers},
        "route": {"cluster": REFUSALS},
        "typed_per_filter_config": {**UNSERVED, CORS: {**cors, "forward_not_matching_preflights": False}},
    }


def pattern(path: str) -> str:
    """The regular expression of a path template: a parameter is one segment that is not empty."""
    return "[^/]+".join(re.escape(part) for part in re.split(r"\{[^}]*\}", path))


def _rank(path: str) -> int:
    """Paths without parameters, then those with a custom verb, then the rest: each is tried before what includes it."""
    if "{" not in path:
        return 0
    return 1 if ":" in path.rpartition("}")[2] else 2


def _other_verbs(ordered: Iterable[Method]) -> list[dict[str, Any]]:
    """Refuse a published path with another verb, and name its own (RFC 9110, 15.5.6)."""
    verbs: dict[str, list[str]] = {}
    for method in ordered:
        verbs.setdefault(method.path, []).append(method.verb)
    return [_not_allowed(path, ", ".join(sorted(served))) for path, served in verbs.items()]


def _not_allowed(path: str, allowed: str) -> dict[str, Any]:
    # What ends in `:something` is a custom verb that nobody serves, and no id.
    regex = pattern(path).removesuffix("[^/]+") + ("[^/:]+" if path.endswith("}") else "")
    match = {"safe_regex": {"regex": regex}} if "{" in path else {"path": path}
    return {**_refusal("verb", 405, match), "response_headers_to_add": [_header("allow", allowed)]}


_UNREADABLE = {"name": ":path", "string_match": {"safe_regex": {"regex": READABLE}}, "invert_match": True}


def _refusal(name: str, status: int, match: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "match": match,
        "direct_response": {"status": status},
        "typed_per_filter_config": UNSERVED,
    }


def _bodies() -> list[dict[str, Any]]:
    """Refuse a body that says by its headers that it belongs nowhere (S3): one with GET or HEAD, and a compressed one.

    A body that no length announces, in chunks or in HTTP/2, ends in the filter NO_BODY.
    """
    bodied = {"prefix": "/", "headers": [READS, *_says("content-length", {"safe_regex": {"regex": "0*"}})]}
    plain = {"safe_regex": {"regex": "(?i)(identity)?"}}
    encoded = {"prefix": "/", "headers": [{**READS, "invert_match": True}, *_says("content-encoding", plain)]}
    refusal = {**_refusal(ENCODED, 415, encoded), "response_headers_to_add": [_header("accept-encoding", "identity")]}
    return [_refusal(BODIED, 400, bodied), refusal]


def _says(name: str, match: dict[str, Any]) -> list[dict[str, Any]]:
    """Match a header that is there and says anything but this."""
    return [{"name": name, "present_match": True}, {"name": name, "string_match": match, "invert_match": True}]


def _grpc() -> dict[str, Any]:
    """Refuse gRPC by the detour: with its content type taken off, the answer is JSON."""
    kind = {"name": "content-type", "string_match": {"prefix": "application/grpc", "ignore_case": True}}
    return {
        "name": "grpc",
        "match": {"prefix": "/", "headers": [kind]},
        "route": {"cluster": REFUSALS, "timeout": "2s"},
        "request_headers_to_add": [_header("content-type", "application/octet-stream")],
        "request_headers_to_remove": [*NOT_FORWARDED, "te"],
        "typed_per_filter_config": UNSERVED,
    }


def _route(method: Method) -> dict[str, Any]:
    added = {"x-filmgate-address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}
    if not method.plain:
        added["grpc-timeout"] = f"{method.seconds * 1000 + GRACE_MILLISECONDS}m"
    return {
        "name": method.name,
        "match": _match(method),
        # For refusals.yaml: the transcoder makes any verb its service's POST.
        "metadata": {"filter_metadata": {"filmgate": {"verb": method.verb}}},
        "route": {
            "cluster": _cluster(method),
            "timeout": f"{method.seconds}s",
            "idle_timeout": IDLE,
            **_lifetime(method),
            "retry_policy": {
                # Only what was surely not begun is tried again: a server that ends answers CANCELLED to what comes
                # meanwhile, and lets what it has begun come to its end.
                "retry_on": "connect-failure,refused-stream,cancelled",
                "num_retries": 2,
                "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.2s"},
            },
        },
        "request_headers_to_add": [_header(key, value) for key, value in added.items()],
        "request_headers_to_remove": NOT_FORWARDED,
        "typed_per_filter_config": {
            AUTHZ: _authz(method),
            **({JSON_SIZE: OFF, TRANSCODER: OFF} if method.plain else {}),
            **({} if method.verb in BODILESS else {NO_BODY: OFF}),
        },
    }


def _cluster(method: Method) -> str:
    if not method.plain:
        return method.audience
    return PAGES if method.gate == "OPEN" else "media"


def _lifetime(method: Method) -> dict[str, Any]:
    """Bound a call from its first header to the end of its answer: 408 until the body has come, 504 then.

    A call with a JSON body has BODY_SECONDS, or as long as its contract gives it. One without (B5) has the time of its
    contract: its service is called at once and waits for an end that need never come, so the edge must give up before
    the service's deadline, and after its own, which begins at the end of the request. Streams and transfers have none.
    """
    if method.streaming or (method.plain and method.verb != "HEAD"):
        return {}
    seconds: float = max(BODY_SECONDS, method.seconds)
    if method.verb in UNREAD:
        seconds = method.seconds + GRACE_MILLISECONDS / 2000
    return {"max_stream_duration": {"max_stream_duration": f"{seconds}s"}}


def _header(key: str, value: str) -> dict[str, Any]:
    return {"header": {"key": key, "value": value}, "append_action": SET}


def _match(method: Method) -> dict[str, Any]:
    verb = {"name": ":method", "string_match": {"exact": method.verb}}
    if "{" in method.path:
        return {"safe_regex": {"regex": pattern(method.path)}, "headers": [verb]}
    return {"path": method.path, "headers": [verb]}


def _authz(method: Method) -> dict[str, Any]:
    """What auth's Check is told of the route, never by the client."""
    settings: dict[str, Any] = {
        "context_extensions": {
            "audience": method.audience,
            "method": method.name,
            "gate": method.gate,
            "strictness": method.strictness,
            "scope": method.scope,
        }
    }
    if not method.check_body:
        settings["disable_request_body_buffering"] = True
    return {"@type": f"{TYPE}extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", "check_settings": settings}
