"""Floods and guesses: limited at the edge per address and per flow, without harm to anybody else."""

import asyncio
import re

import pytest

from deploy.local.client import Refused, new_phone
from tests.support.addresses import an_address

CONNECTIONS = 50
BURST = 500
"""What an address may send at once; 100 more are added each second."""
LENGTH = re.compile(rb"content-length: (\d+)")
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@pytest.mark.promise("AICC-10.1e", "NEXA-6.1d", "SILICON-U2.2.5")
async def test_floods_guesses_and_programs_are_stopped_and_others_go_on(suite, guest, customer):
    statuses = await _flood(suite.ports.edge_port, an_address())
    assert set(statuses) == {401, 429}
    assert statuses.count(401) >= BURST
    await customer.call("GET", "/v1/videos")  # from another address

    proof = await guest.send_code(new_phone(), "REGISTER")
    guesses = [{**proof, "code": f"{(int(proof['code']) + add) % 1_000_000:06d}"} for add in range(1, 9)]
    outcomes = [await _reason(guest, guess) for guess in [*guesses, proof]]
    assert outcomes == ["CODE_WRONG"] * 4 + ["TOO_MANY_TRIES"] * 5

    with pytest.raises(Refused, match="IMAGE_UNREADABLE"):
        await customer.upload(b"MZ\x90\0" + b"\0" * 56 + b"\x80\0\0\0" + b"PE\0\0" + b"\xcc" * 4096)


async def _flood(port: int, address: str) -> list[int]:
    """Send requests from one address, as quickly as they are answered, until it is limited; answers all statuses."""
    found: list[int] = []

    async def send() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        while 429 not in found:
            writer.write(b"GET /v1/videos HTTP/1.1\r\nhost: x\r\n\r\n")
            found.append(await _answer(reader))
        writer.close()

    async with asyncio.timeout(30):
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
    return int(status[1])


async def _reason(client, proof: dict) -> str:
    person = {"birth_date": {"year": 1990, "month": 1, "day": 1}, "age_statement": True}
    with pytest.raises(Refused) as refused:
        await client.call("POST", "/v1/accounts", {**proof, **person})
    return refused.value.reason
