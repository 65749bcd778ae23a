"""The one customer that `make up` has at hand for whoever tries the suite: made once, remembered in the home.

It is an ordinary customer: limits and policies hold for it too. So the suite never depends on it: what cannot be made
is told in a sentence, and tried again at the next start (review A1).
"""

import dataclasses
import json
from pathlib import Path

import httpx

from deploy.local.client import Client, Refused, new_phone
from deploy.local.files import write_private

FILE = "customer.json"
NAME = "make up"
BY_HAND = "docs/api.md tells how to register by hand."
KEY_LOST = ("KEY_UNKNOWN", "KEY_REVOKED", "KEY_EXPIRED")
NO_ACCOUNT = ("ACCOUNT_FROZEN", "CODE_WRONG")
"""What a log-in by a right code is refused with when the account is frozen, or is not there any more."""


@dataclasses.dataclass(frozen=True)
class Customer:
    """What is remembered: the account, the phone number that it logs in by, its API key ("" until there is one)."""

    account: str
    phone: str
    key: str = ""


@dataclasses.dataclass(frozen=True)
class Found:
    """An API key to try the suite with ("": there is none), and a sentence when a person should know why ("")."""

    key: str
    said: str = ""


async def ready(url: str, outbox: Path, home: Path) -> Found:
    """Return the key of the development customer of `home`; make the customer, or what it lacks, when it must be.

    Raises nothing that the API or the network answers: that becomes the sentence.
    """
    known = remembered(home)
    try:
        async with Client(url, outbox) as client:
            return await (_checked(client, home, known) if known else _new(client, home))
    except (Refused, httpx.HTTPError, OSError) as fault:
        why = str(fault) or type(fault).__name__
        return Found("", f"The suite runs, but without a ready-made key: {why} The next make up tries again; {BY_HAND}")


def remembered(home: Path) -> Customer | None:
    """Read the customer of `home`; None when there is none, or its file cannot be read."""
    try:
        return Customer(**json.loads((home / FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _remember(home: Path, customer: Customer) -> None:
    write_private(home / FILE, json.dumps(dataclasses.asdict(customer)).encode())


async def _checked(client: Client, home: Path, known: Customer) -> Found:
    """Try the key; mend what it lacks, and nothing more: the account stays for as long as it can log in."""
    client.credential = known.key
    try:
        if known.key:
            await client.call("GET", "/v1/wallet")
            return Found(known.key)
    except Refused as refusal:
        if refusal.reason == "ACCOUNT_FROZEN":
            return await _new(client, home, f"The account {known.account} is frozen; this is a new one.")
        if refusal.reason not in (*KEY_LOST, "POLICY_NOT_ACCEPTED"):
            return Found(known.key, f"The remembered key could not be tried: {refusal}")
        return await _mended(client, home, known, refusal.reason)
    return await _mended(client, home, known, "")


async def _mended(client: Client, home: Path, known: Customer, reason: str) -> Found:
    """Log in, accept what is in force, and make a key unless the remembered one only lacked that."""
    client.credential = ""
    try:
        await client.log_in(known.phone)
    except Refused as refusal:
        if refusal.reason not in NO_ACCOUNT:
            raise
        return await _new(client, home, f"The account {known.account} cannot log in; this is a new one.")
    await client.accept_policies()
    if reason == "POLICY_NOT_ACCEPTED":
        return Found(known.key, "The policies have changed; the development customer has accepted them.")
    key = await _keyed(client, home, known)
    return Found(key, "The remembered key no longer worked; this is a new one of the same account." if reason else "")


async def _new(client: Client, home: Path, said: str = "") -> Found:
    client.credential, phone = "", new_phone()
    made = await client.register(phone)
    known = Customer(made["account"]["id"], phone)
    _remember(home, known)  # before anything else can fail: a start leaves one account at most
    await client.accept_policies()
    return Found(await _keyed(client, home, known), said)


async def _keyed(client: Client, home: Path, known: Customer) -> str:
    key = str((await client.make_key(NAME))["secret"])
    _remember(home, dataclasses.replace(known, key=key))
    return key
