"""An outside client of the public HTTP API, as a customer would write one; the demo and the tests are made with it."""

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

MAIL_SECONDS = 10
STREAM_SECONDS = 120
CODE = re.compile(r"(?<!\d)\d{6}(?!\d)")
JSON = dict[str, Any]


class Refused(Exception):
    """The API answered with an error: HTTP status, reason, message and the whole body."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.body = _json(response)
        details = self.body.get("details") or [{}]
        self.reason = next((row["reason"] for row in details if "reason" in row), "")
        super().__init__(f"{self.status} {self.reason}: {self.body.get('message', response.text[:300])}")


class Client:
    """Speaks JSON with one Filmgate; `credential` is an API key or a session's access token.

    `address` is the local address to call from; None lets the system choose.
    """

    def __init__(self, url: str, outbox: Path, *, timeout_seconds: float = 30, address: str | None = None) -> None:
        self.outbox = outbox
        self.credential = ""
        wire = httpx.AsyncHTTPTransport(local_address=address)
        self.http = httpx.AsyncClient(base_url=url, timeout=timeout_seconds, transport=wire, trust_env=False)

    async def __aenter__(self) -> "Client":
        """Keep the connection open for the block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def call(self, method: str, path: str, body: JSON | None = None, **headers: str) -> JSON:
        """Return the JSON of a call; raises Refused. Header names are written with underscores."""
        response = await self.http.request(method, path, json=body, headers=self._headers(headers))
        if response.is_error:
            raise Refused(response)
        return _json(response)

    async def upload(self, picture: bytes, content_type: str = "image/png") -> JSON:
        """Upload a picture as a raw body and answer its File."""
        headers = self._headers({"content_type": content_type})
        response = await self.http.post("/v1/files", content=picture, headers=headers)
        if response.is_error:
            raise Refused(response)
        return _json(response)

    async def download(self, path: str, target: Path) -> int:
        """Write content to a file as it arrives; returns its size in bytes."""
        async with self.http.stream("GET", path, headers=self._headers({})) as response:
            if response.is_error:
                await response.aread()
                raise Refused(response)
            with target.open("wb") as file:
                async for piece in response.aiter_bytes():
                    file.write(piece)
        return target.stat().st_size

    async def watch(self, video: str, after_sequence: int = 0) -> AsyncIterator[JSON]:
        """Yield a video's events until it is settled; watches again where the server asks for it."""
        final = False
        while not final:
            async for event in self._events(video, after_sequence):
                after_sequence = int(event.get("sequence") or after_sequence)
                final = event.get("final", False)
                yield event

    async def _events(self, video: str, after_sequence: int) -> AsyncIterator[JSON]:
        path = f"/v1/videos/{video}:watch?after_sequence={after_sequence}"
        async with self.http.stream("GET", path, headers=self._headers({}), timeout=STREAM_SECONDS) as response:
            if response.is_error:
                await response.aread()
                raise Refused(response)
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])

    async def send_code(self, phone: str, purpose: str) -> JSON:
        """Have a code sent and read it as a person reads their phone: answers the `flow_id` and the `code`."""
        asked = {"channel": "PHONE", "target": phone, "purpose": purpose, "locale": "en"}
        seen = self._messages(phone)
        flow = await self.call("POST", "/v1/codes:send", asked)
        return {"flow_id": flow["flow_id"], "code": await self._code(phone, seen)}

    async def _code(self, phone: str, seen: set[Path]) -> str:
        deadline = time.monotonic() + MAIL_SECONDS
        while time.monotonic() < deadline:
            for path in sorted(self._messages(phone) - seen):
                found = CODE.search(json.loads(path.read_text())["text"])
                if found:
                    return found.group()
            await asyncio.sleep(0.05)
        raise TimeoutError(f"no code arrived in {self.outbox} within {MAIL_SECONDS} s")

    def _messages(self, phone: str) -> set[Path]:
        return {path for path in self.outbox.glob("*.json") if json.loads(path.read_text())["to"] == phone}

    async def register(self, phone: str, **extra: Any) -> JSON:
        """Register an account with a code and an adult's birth date; uses its session from then on."""
        person = {"birth_date": {"year": 1990, "month": 1, "day": 1}, "age_statement": True, "locale": "en"}
        proof = await self.send_code(phone, "REGISTER")
        made = await self.call("POST", "/v1/accounts", {**proof, **person, **extra})
        self.credential = made["tokens"]["access_token"]
        return made

    async def accept_policies(self, language: str = "en") -> list[JSON]:
        """Read and accept every policy in force; return the receipts."""
        listed = await self.call("GET", "/v1/policies")
        return [await self._accept(row["id"], language) for row in listed["policies"] if row["state"] == "IN_FORCE"]

    async def _accept(self, policy: str, language: str) -> JSON:
        shown = await self.call("GET", f"/v1/policies/{policy}?language={language}")
        text = shown["texts"][0]
        accepted = {"version": shown["version"], "sha256": text["sha256"], "language": language}
        return await self.call("POST", f"/v1/policies/{policy}:accept", accepted)

    async def log_in(self, phone: str) -> JSON:
        """Log in with a code; uses the session from then on."""
        tokens = await self.call("POST", "/v1/sessions", await self.send_code(phone, "LOGIN"))
        self.credential = tokens["access_token"]
        return tokens

    async def make_key(self, display_name: str, **extra: Any) -> JSON:
        """Make an API key; uses it from then on."""
        key = await self.call("POST", "/v1/keys", {"display_name": display_name, **extra})
        self.credential = key["secret"]
        return key

    def _headers(self, extra: dict[str, str]) -> dict[str, str]:
        bearer = {"authorization": f"Bearer {self.credential}"} if self.credential else {}
        return bearer | {name.replace("_", "-"): value for name, value in extra.items()}


def new_phone() -> str:
    """Draw a mobile number that nobody has registered here yet, E.164."""
    return f"+86139{secrets.randbelow(10**8):08d}"


def money(amount: JSON) -> str:
    """Write an amount as a person reads it: `0.50 CNY`."""
    micros = int(amount.get("units") or 0) * 1_000_000 + int(amount.get("nanos") or 0) // 1000
    return f"{micros / 1_000_000:.2f} {amount.get('currency_code', '')}"


def _json(response: httpx.Response) -> JSON:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
