"""Asks a Triton on loopback how it is: `python3 -I probe.py live|ready FOLDER [PORT]`, exit status 0 for well.

For a kubelet, which reaches no loopback and so asks inside the container. grpc.health.v1 over HTTP/2 in plain sockets:
the model server's image has no gRPC client, and loading one every ten seconds would cost more than asking.
FOLDER holds ca.crt, worker.crt and worker.key: Triton answers to no other certificate.
"""

import socket
import ssl
import struct
import sys
from pathlib import Path

PORT, PATIENCE_SECONDS = 8120, 5.0
SERVER_NAME = "triton"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS = 1, 4
STREAM = 1
FIELDS = {
    ":method": "POST",
    ":scheme": "https",
    ":path": "/grpc.health.v1.Health/Check",
    ":authority": SERVER_NAME,
    "te": "trailers",
    "content-type": "application/grpc",
}
NO_MESSAGE = b"\x00\x00\x00\x00\x00"  # not compressed, and the empty request has no bytes
SERVING = b"\x08\x01"


def status(port: int, context: ssl.SSLContext, seconds: float = PATIENCE_SECONDS) -> bytes | None:
    """Return the bytes of a HealthCheckResponse, or None when nobody listens.

    Raises OSError, TimeoutError and ssl.SSLError among them, when somebody listens and does not answer as they should.
    """
    try:
        connection = socket.create_connection(("127.0.0.1", port), seconds)
    except ConnectionRefusedError:
        return None
    with connection, context.wrap_socket(connection, server_hostname=SERVER_NAME) as secured:
        fields = b"".join(b"\x00" + _text(name) + _text(value) for name, value in FIELDS.items())
        request = _frame(HEADERS, END_HEADERS, STREAM, fields) + _frame(DATA, END_STREAM, STREAM, NO_MESSAGE)
        secured.sendall(PREFACE + _frame(SETTINGS, 0, 0, b"") + request)
        return _message(secured)


def trust(folder: Path) -> ssl.SSLContext:
    """Return what opens the Triton whose authority and client certificate lie in `folder`.

    Raises OSError when they are not there or are no certificates.
    """
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "worker.crt", folder / "worker.key")
    context.set_alpn_protocols(["h2"])
    return context


def _message(connection: socket.socket) -> bytes:
    """The first message on our stream; what else comes is read over."""
    while True:
        head = _read(connection, 9)
        payload = _read(connection, int.from_bytes(head[:3], "big"))
        kind, stream = head[3], int.from_bytes(head[5:], "big")
        if kind == DATA and stream == STREAM:
            return payload[len(NO_MESSAGE) :]
        if kind in (RST_STREAM, GOAWAY) or (kind == HEADERS and head[4] & END_STREAM):
            raise ConnectionError("there is no answer on the stream")


def _read(connection: socket.socket, size: int) -> bytes:
    held = b""
    while len(held) < size:
        piece = connection.recv(size - len(held))
        if not piece:
            raise ConnectionError("the connection ended")
        held += piece
    return held


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _text(text: str) -> bytes:
    """A text of a header as HPACK writes it, less than 127 bytes long and not compressed."""
    return bytes([len(text)]) + text.encode()


def main(arguments: list[str]) -> int:
    """`ready`: all models are loaded. `live`: it answers, or does not listen yet, as it does not while it loads."""
    if arguments[:1] not in (["live"], ["ready"]) or len(arguments) not in (2, 3):
        sys.stderr.write("use: python3 probe.py live|ready FOLDER [PORT]\n")
        return 2
    try:
        answer = status(int(arguments[2]) if arguments[2:] else PORT, trust(Path(arguments[1])))
    except OSError as fault:
        sys.stderr.write(f"the server does not answer: {type(fault).__name__}\n")
        return 1
    well = answer == SERVING if arguments[0] == "ready" else True
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
