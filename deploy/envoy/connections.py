"""The limit of open connections per client address (S5).

Envoy has no filter that counts connections per address, but one that counts those of a filter chain. So the public
listener has many chains, GROUPS of them, and an address always falls into the same one, by a hash. Each chain counts,
then hands its bytes to the one HTTP listener, by a unix socket of this process. Hence the limit holds for a group of
addresses: an address has at most so many connections, and shares its group with one in GROUPS of all other addresses.
"""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.envoy.routes import TYPE

GROUPS = 256
"""Each costs about 110 KiB of memory; fewer, and a client is likelier to share the group of somebody who fills it."""
HTTP = "http"
"""The listener behind, and the cluster that leads to it."""
SOCKET = "http.sock"
"""Its socket. An internal listener, which needs none, was tried: it lost answers, or connections, at their end."""
BACKLOG = 4096
"""Connections on their way to the socket; to one more the kernel says no. Strangers may come all at once."""
UNTAKEN_MILLISECONDS = 60_000
"""How long a client may take nothing of what was sent before the kernel ends the connection: the listener behind, which
has such limits too, has then given it up already, and the bytes left over would hold its place for ever."""
NETWORK = "filmgate.network"
"""Filter state: the client's address, of IPv6 the /64, since a /64 is one customer's (RFC 6177)."""
_FROM_NETWORK = {
    "name": "envoy.matching.inputs.filter_state",
    "typed_config": {"@type": f"{TYPE}extensions.matching.common_inputs.network.v3.FilterStateInput", "key": NETWORK},
}


def bounded(configuration: Mapping[str, Any], limit: int, seed: int, folder: Path) -> dict[str, Any]:
    """Return a configuration whose public listener takes at most `limit` connections per address, at least 1.

    `seed`, 0 to 2**64-1, decides which addresses share a group: a stranger who knew it could choose whose to fill.
    `folder` is Envoy's own, where nobody else may look: whoever reaches the socket in it can name any client address.
    """
    place = {"pipe": {"path": str(folder / SOCKET), "mode": 0o600}}
    static = configuration["static_resources"]
    public, *others = static["listeners"]
    listeners = [_public(public, limit, seed), _behind(public, place), *others]
    return {
        **configuration,
        "static_resources": {**static, "listeners": listeners, "clusters": [*static["clusters"], _way(place)]},
    }


def _public(public: Mapping[str, Any], limit: int, seed: int) -> dict[str, Any]:
    """The listener that strangers connect to. It knows nothing of TLS or HTTP."""
    # Of IPv4 the whole address: the mask is cut to its length.
    network = {"text_format_source": {"inline_string": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(64)%"}}
    noted = {
        "@type": f"{TYPE}extensions.filters.listener.set_filter_state.v3.Config",
        "on_accept": [{"object_key": NETWORK, "factory_key": "envoy.string", "format_string": network}],
    }
    option = {
        "description": "TCP_USER_TIMEOUT",
        "level": socket.IPPROTO_TCP,
        "name": socket.TCP_USER_TIMEOUT,
        "int_value": UNTAKEN_MILLISECONDS,
        "state": "STATE_LISTENING",
    }
    return {
        **public,
        "socket_options": [option],
        "listener_filters": [{"name": "envoy.filters.listener.set_filter_state", "typed_config": noted}],
        "filter_chain_matcher": _group(0, GROUPS, seed),
        "filter_chains": [_chain(number, limit) for number in range(GROUPS)],
    }


def _group(first: int, last: int, seed: int) -> dict[str, Any]:
    """Find the chain `hash % GROUPS`, known to lie between `first` and before `last`, by halves."""
    middle = (first + last) // 2
    hashed = {
        "@type": f"{TYPE}extensions.matching.input_matchers.consistent_hashing.v3.ConsistentHashing",
        "threshold": middle,
        "modulo": GROUPS,
        "seed": seed,
    }
    predicate = {"input": _FROM_NETWORK, "custom_match": {"name": "hash", "typed_config": hashed}}
    above = {"predicate": {"single_predicate": predicate}, "on_match": _half(middle, last, seed)}
    return {"matcher_list": {"matchers": [above]}, "on_no_match": _half(first, middle, seed)}


def _half(first: int, last: int, seed: int) -> dict[str, Any]:
    if last - first > 1:
        return {"matcher": _group(first, last, seed)}
    name = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": str(first)}
    return {"action": {"name": "group", "typed_config": name}}


def _chain(number: int, limit: int) -> dict[str, Any]:
    """Count a connection, close it at once where it is one too many, hand on its bytes. Its times are HTTP's."""
    network = f"{TYPE}extensions.filters.network"
    counted = {
        "@type": f"{network}.connection_limit.v3.ConnectionLimit",
        "stat_prefix": "address",
        "max_connections": limit,
    }
    handed = {
        "@type": f"{network}.tcp_proxy.v3.TcpProxy",
        "stat_prefix": HTTP,
        "cluster": HTTP,
        "idle_timeout": "0s",
    }
    filters = {"envoy.filters.network.connection_limit": counted, "envoy.filters.network.tcp_proxy": handed}
    return {
        "name": str(number),
        "filters": [{"name": name, "typed_config": config} for name, config in filters.items()],
    }


def _behind(public: Mapping[str, Any], place: Mapping[str, Any]) -> dict[str, Any]:
    """The listener of TLS and HTTP. It learns each client's address by the PROXY protocol, which only we can speak."""
    told = {
        "@type": f"{TYPE}extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
        "disallowed_versions": ["V1"],
    }
    return {
        **public,
        "name": HTTP,
        "address": place,
        "tcp_backlog_size": BACKLOG,
        # The public listener has counted them; and a full house must not shut out who is in it.
        "ignore_global_conn_limit": True,
        "listener_filters": [{"name": "envoy.filters.listener.proxy_protocol", "typed_config": told}],
    }


def _way(place: Mapping[str, Any]) -> dict[str, Any]:
    """The cluster of the listener behind. The public listener's limits are the only ones."""
    endpoint = {"address": {"pipe": {"path": place["pipe"]["path"]}}}
    unbounded = {"max_connections": 2**31, "max_pending_requests": 2**31}
    telling = {
        "@type": f"{TYPE}extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        "config": {"version": "V2"},
        "transport_socket": {
            "name": "envoy.transport_sockets.raw_buffer",
            "typed_config": {"@type": f"{TYPE}extensions.transport_sockets.raw_buffer.v3.RawBuffer"},
        },
    }
    return {
        "name": HTTP,
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": 262144,
        "circuit_breakers": {"thresholds": [unbounded]},
        "load_assignment": {"cluster_name": HTTP, "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]},
        "transport_socket": {"name": "envoy.transport_sockets.upstream_proxy_protocol", "typed_config": telling},
    }
