"""A flood of requests from one address, as quickly as they are answered."""

import asyncio
import re

CONNECTIONS = 50
BURST = 500
"""What an address may send at once; 100 more are added each second."""
BUSY = 503
"""On a busy machine a check may take longer than the half second that the edge waits for it: it is refused closed."""
LENGTH = re.compile(rb"content-length: (\d+)")
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


async def flood(port: int, address: str) -> list[int]:
    """Send requests from one address, as quickly as they are answered, until it is limited; returns all statuses."""
    found: list[int] = []

    async def send() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        while 429 not in found:
            writer.write(b"GET /v1/videos HTTP/1.1\r\nhost: x\r\n\r\n")
            found.append(await _answer(reader))
        writer.close()

    async with asyncio.timeout(120):
        await asyncio.gather(*(send() for _ in range(CONNECTIONS)))
    return found


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length, status = LENGTH.search(head), STATUS.match(head)
    assert length, head
    assert status, head
    body = await reader.readexactly(int(length[1]))
    if status[1] == b"429":
        assert b"retry-after: 1" in head
        assert b'"RATE_LIMITED"' in body
    if status[1] == b"503":
        assert b'"SERVICE_UNAVAILABLE"' in body or b'"AUTHORIZER_UNAVAILABLE"' in body  # closed, and says by whom
    return int(status[1])
