"""Customers who send what schemathesis makes of the OpenAPI document, with what each answer is held against."""

import asyncio
import contextlib
import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from deploy.local import picture
from deploy.local.client import Client, new_phone
from deploy.local.suite import Suite
from tests.support.addresses import an_address

DOCUMENT = Path(__file__).resolve().parents[2] / "gen" / "openapi.json"
CUSTOMERS = 8
SCOPES = ["video.read", "video.write", "billing.read", "keys", "account"]
ORDER = {"model": "animatic", "prompt": "a quiet sea", "resolution": "480p", "duration_seconds": 2}
PICTURE = picture.lighthouse(400, 320)
SECONDS = 20
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
    checks.allow_header_conformance,
]
FORMAL = {"FIELD_INVALID", "FIELD_REQUIRED", "BODY_INVALID", "UNKNOWN_FIELD", "REQUEST_MALFORMED", "UPLOAD_MALFORMED"}
"""Reasons that say that a request is not of the right form."""
RULES = {
    "page_token": "only one that a list has answered",
    "expire_time": "in the future",
    "start_deadline": "within the next 24 hours",
    "created_after": "",
    "max_price.currency_code": "the currency of the prices",
    "birth_date": "a day of the calendar, in the life of somebody; needed as the profile says",
    "prompt": "needed where there is no image",
    "id": "a key that is active, to change it",
}
"""Fields whose rule no schema can say, so that a request may be refused for them though it fits; with the rule."""


ENUMS, NUMBERS = {"state", "channel", "purpose"}, {"duration_seconds", "version", "page_size", "year", "month", "day"}
"""Fields of requests that are also taken as a number, and as its digits."""


class Fault(AssertionError):
    """An answer that the document does not have."""


@dataclasses.dataclass
class Customer:
    """Somebody with a key, a session and things of their own; the parts of a path that name them are in `own`."""

    session: requests.Session
    credentials: list[str]
    own: dict[str, str]


class Crowd:
    """Sends cases, in turn from each customer and now and then from a stranger."""

    def __init__(self, suite: Suite, seed: int) -> None:
        self.suite, self.seed, self.sent = suite, seed, 0
        self._customers = asyncio.run(self._gather())

    async def _gather(self) -> list[Customer]:
        return [await _customer(self.suite) for _ in range(CUSTOMERS)]

    def ask(self, case: Case) -> None:
        """Send a case and hold the answer against the document. Raises Fault or schemathesis' own failures."""
        self.sent += 1
        chance = self._chance(case)
        customer = chance.choice(self._customers)
        credential = _credential(customer, chance)
        _make_real(case, customer, chance)
        bearer = {"authorization": f"Bearer {credential}"} if credential else {}
        response = case.call(
            base_url=self.suite.url, session=customer.session, headers=bearer, timeout=SECONDS, allow_redirects=False
        )
        self._judge(case, response, known=credential in customer.credentials)
        if case.operation.label == "POST /v1/videos" and response.status_code == 200:
            self._cancel(customer, response.json()["id"])

    def _chance(self, case: Case) -> random.Random:
        """What is drawn for a case is drawn again when it comes again, as hypothesis wants it."""
        what = (self.seed, case.method, case.path, case.path_parameters, case.query, case.headers, case.body)
        return random.Random(repr(what))  # noqa: S311  no secret

    def _cancel(self, customer: Customer, video: str) -> None:
        """An order that was taken is not made to its end: what is fuzzed is the asking."""
        bearer = {"authorization": f"Bearer {customer.credentials[0]}"}
        url = f"{self.suite.url}/v1/videos/{video}:cancel"
        customer.session.post(url, json={}, headers=bearer, timeout=SECONDS)

    def _judge(self, case: Case, response: Response, *, known: bool) -> None:
        case.validate_response(response, checks=CHECKS)
        guarded = case.operation.definition.raw["security"]
        probes = response.status_code in (405, 413, 415, 431)
        if guarded and not known and not probes and response.status_code not in (400, 401, 404):
            raise Fault(f"{case.operation.label} answered a stranger {response.status_code}: {case.as_curl_command()}")
        if case.method != case.operation.method.upper():
            return
        if _mode(case) is GenerationMode.POSITIVE:
            self._accepts(case, response)
        elif not _is_lenient(case):
            case.validate_response(response, checks=[checks.negative_data_rejection])

    def _accepts(self, case: Case, response: Response) -> None:
        """What fits the schema is of the right form, but for what no schema can say."""
        reason, field = _refusal(response)
        if reason in FORMAL and field not in RULES:
            raise Fault(
                f"{case.operation.label} fits and is refused for {field}: {response.text}\n{case.as_curl_command()}"
            )


def _credential(customer: Customer, chance: random.Random) -> str:
    """One in ten has none, one in twenty one that nobody has."""
    draw = chance.random()
    if draw < 0.15:
        return "" if draw < 0.1 else "fg_live_u_" + "0" * 50
    return chance.choice(customer.credentials)


def _make_real(case: Case, customer: Customer, chance: random.Random) -> None:
    """Half of what fits is about things that are there, so that more is met than NOT_FOUND."""
    if _mode(case) is not GenerationMode.POSITIVE or chance.random() < 0.5:
        return
    noun = case.operation.path.split("/")[2].partition(":")[0] if case.operation.path.startswith("/v1/") else ""
    if "id" in case.path_parameters and noun in customer.own:
        case.path_parameters["id"] = customer.own[noun]
    if case.operation.path in ("/v1/videos", "/v1/videos:estimate") and isinstance(case.body, dict):
        chosen = {key: value for key, value in case.body.items() if key in ("camera_control", "seed", "external_id")}
        case.body = {**chosen, **ORDER}
    if case.operation.label == "POST /v1/files" and case.media_type != "multipart/form-data":
        case.body = PICTURE
    if case.path_parameters.get("file"):
        case.path_parameters["file"] = "page.css"


def _is_lenient(case: Case) -> bool:
    """Whether a case is only what protobuf's JSON takes beside a schema: null for what is absent, the number of an
    enum, a number in quotes. An upload is told by its bytes alone."""
    given = [*_leaves(case.body), *(case.query or {}).items()]
    return case.operation.label == "POST /v1/files" or any(
        value is None
        or (name in ENUMS and str(value).lstrip("-").isdigit())
        or (name in NUMBERS and isinstance(value, str))
        for name, value in given
    )


def _leaves(body: Any) -> list[tuple[str, Any]]:
    """Names and values of a body and of the objects in it."""
    rows = []
    for name, value in body.items() if isinstance(body, dict) else ():
        rows += _leaves(value) if isinstance(value, dict) else [(name, value)]
    return rows


def _mode(case: Case) -> GenerationMode | None:
    return case.meta.generation.mode if case.meta else None


def _refusal(response: Response) -> tuple[str, str]:
    """Reason and field of a refusal; empty for an answer that is none."""
    if response.status_code < 400 or not response.content:
        return "", ""
    details: list[dict[str, Any]] = json.loads(response.text)["details"]
    info = next(row for row in details if "reason" in row)
    return info["reason"], info["metadata"].get("field", "")


async def _customer(suite: Suite) -> Customer:
    """Register somebody with one thing of each kind."""
    address = an_address()
    async with Client(suite.url, suite.outbox, address=address) as client:
        made = await client.register(new_phone())
        session = client.credential
        policies = await client.accept_policies()
        spare = (await client.make_key("spare"))["id"]
        client.credential = session
        await client.make_key("fuzz", scopes=SCOPES)
        video = (await client.call("POST", "/v1/videos", ORDER))["id"]
        await client.call("POST", f"/v1/videos/{video}:cancel", {})
        async with contextlib.aclosing(client.watch(video)) as events:
            async for event in events:
                if event.get("final"):
                    break
        file = (await client.upload(PICTURE))["id"]
    sender = requests.Session()
    sender.trust_env = False
    sender.mount("http://", _From(address))
    own = {
        "videos": video,
        "files": file,
        "keys": spare,
        "models": "animatic",
        "policies": policies[0]["policy"],
        "sessions": made["tokens"]["session"]["id"],
    }
    return Customer(sender, [client.credential, session], own)


class _From(HTTPAdapter):
    """Sends from one local address."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As requests asks for it, with our address."""
        super().init_poolmanager(*args, source_address=(self._address, 0), **kwargs)
