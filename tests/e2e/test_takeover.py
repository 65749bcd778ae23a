"""The review's take-over of an account by a look-alike address (S1), tried again from outside."""

import json
import re
import secrets

import pytest

from deploy.local.client import Client, Refused
from tests.support.waiting import until

ENDED = "SELECT end_time IS NOT NULL FROM jobs WHERE key = $1"
CODE = re.compile(r"(?<!\d)\d{6}(?!\d)")
PERSON = {"birth_date": {"year": 1990, "month": 1, "day": 1}, "age_statement": True, "locale": "en"}


async def message(books, client: Client, target: str, purpose: str) -> dict:
    """Have a code sent by mail, wait until it was delivered or dropped, and answer {flow_id, to, text}."""
    asked = {"channel": "EMAIL", "target": target, "purpose": purpose, "locale": "en"}
    flow = (await client.call("POST", "/v1/codes:send", asked))["flow_id"]
    await until(lambda: books.value("auth", ENDED, f"send_code:{flow}"), what=f"the delivery of {flow}")
    sent = [json.loads(path.read_text()) for path in client.outbox.glob("*.json")]
    return {"flow_id": flow, "to": "", "text": "", **next((row for row in sent if row["id"] == flow), {})}


def proof(letter: dict) -> dict:
    found = CODE.search(letter["text"])
    return {"flow_id": letter["flow_id"], "code": found.group() if found else "000000"}


async def registered(books, client: Client, target: str) -> str:
    """Register with a mailed code; returns the account's id."""
    letter = await message(books, client, target, "REGISTER")
    return (await client.call("POST", "/v1/accounts", {**proof(letter), **PERSON}))["account"]["id"]


async def refused(client: Client, letter: dict) -> str:
    """The reason for which what a letter holds opens no session."""
    with pytest.raises(Refused) as refusal:
        await client.call("POST", "/v1/sessions", proof(letter))
    return refusal.value.reason


async def test_who_owns_a_look_alike_domain_does_not_get_the_account(suite, guest, books):
    mark = secrets.token_hex(3)
    own, alike = f"{mark}-strasse.de", f"{mark}-straße.de"
    victims = {name: await registered(books, guest, f"{name}@{own}") for name in ("info", "sales")}

    stolen = await message(books, guest, f"info@{alike}", "LOGIN")
    assert (stolen["to"], stolen["text"]) == ("", ""), "no account has this address, so nobody is sent a code"
    assert await refused(guest, stolen) == "CODE_WRONG"

    letter = await message(books, guest, f"sales@{alike}", "REGISTER")
    assert letter["to"] == f"sales@xn--{f'{mark}-straße'.encode('punycode').decode()}.de"
    assert await refused(guest, letter) == "CODE_WRONG", "a code to register opens no session"
    other = await guest.call("POST", "/v1/accounts", {**proof(letter), **PERSON})
    assert other["account"]["id"] not in victims.values()

    for letter in ("ſ", "ﬁ", "\u212a"):
        with pytest.raises(Refused) as refusal:
            await message(books, guest, f"{letter}info@{own}", "LOGIN")
        assert (refusal.value.status, refusal.value.reason) == (400, "TARGET_INVALID")

    again = await message(books, guest, f"INFO@{own.upper()}", "LOGIN")
    assert again["to"] == f"info@{own}"
    guest.credential = (await guest.call("POST", "/v1/sessions", proof(again)))["access_token"]
    assert (await guest.call("GET", "/v1/account"))["id"] == victims["info"]
