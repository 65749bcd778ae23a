"""A client of HTTP/2 that does what no library would: its frames are written by hand (RFC 9113)."""

import asyncio
import contextlib
import socket
import ssl

DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0, 1, 3, 4, 6
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame (4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def fields(method: str, path: str) -> bytes:
    """Return the header block of a request."""
    return block((b":method", method.encode()), (b":scheme", b"http"), (b":authority", b"a"), (b":path", path.encode()))


def block(*named: tuple[bytes, bytes]) -> bytes:
    """Return a header block whose names and values are below 127 bytes each, as plain literals (RFC 7541, 6.2.2)."""
    return b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in named)


def grpc_headers(path: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """Return the header block of a call of a gRPC method, with more headers after the usual ones."""
    usual = [
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"toy"),
        (b"te", b"trailers"), (b"content-type", b"application/grpc"),
    ]  # fmt: skip
    return block(*usual, *more)


async def call(port: int, path: bytes, *headers: tuple[bytes, bytes], context: ssl.SSLContext | None = None) -> bytes:
    """Call a gRPC method with an empty message and these headers beside the usual ones.

    Returns what came until the status, or until the connection ended. `context` is for a port with TLS.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, END_HEADERS, 1, grpc_headers(path, *headers)))
    writer.write(frame(DATA, END_STREAM, 1, bytes(5)))
    answer = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(60):
            while b"grpc-status" not in answer and (piece := await reader.read(65536)):
                answer += piece
    writer.close()
    return answer


class Unread:
    """A connection whose streams may send no byte of a body: each has a window of 0 (6.9.2).

    `answered` are the streams whose headers have come, `ended` those that the server has reset.
    """

    def __init__(self, port: int) -> None:
        window = INITIAL_WINDOW_SIZE.to_bytes(2, "big") + bytes(4)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0, window))
        self._next, self._received = 1, b""
        self.answered: set[int] = set()
        self.ended: set[int] = set()

    def get(self, path: str, count: int) -> None:
        """Ask for a path on so many new streams."""
        for _ in range(count):
            self._socket.sendall(frame(HEADERS, END_STREAM | END_HEADERS, self._next, fields("GET", path)))
            self._next += 2

    def look(self) -> None:
        """Take note of what has come. Raises ConnectionError when the server has closed the connection."""
        self._socket.setblocking(False)
        try:
            while piece := self._socket.recv(65536):
                self._received += piece
            raise ConnectionError("closed by the server")
        except BlockingIOError:
            self._socket.settimeout(20)
        while len(self._received) >= (end := 9 + int.from_bytes(self._received[:3], "big")):
            kind, stream = self._received[3], int.from_bytes(self._received[5:9], "big")
            if kind == HEADERS:
                self.answered.add(stream)
            if kind == RST_STREAM:
                self.ended.add(stream)
            self._received = self._received[end:]

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
