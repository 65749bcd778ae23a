"""The page of the reference: the whole document as HTML that needs no script to be read and no other host at all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.openapi.elements import REMARK
from deploy.openapi.elements import TABLE as ELEMENTS
from deploy.openapi.markup import Markup, code, join, link, prose, table, tag
from deploy.openapi.operations import EVENT, READABLE, REASONS, SCOPE
from deploy.openapi.scalars import DIGITS

PARTS = Path(__file__).with_name("page")
"""The page's style and script, sent beside it as /docs/<name>."""
REF = "#/components/"
_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches {}",
    "format": "{}",
}
_PLAIN = {"int32", "int64", "uint64", "double", "float", "binary", READABLE, -(2**31), 2**31 - 1, -DIGITS, DIGITS}
"""Limits that go without saying: those of the form itself."""
_SHORT = 60


def page(document: dict[str, Any]) -> str:
    """Return the page of a document."""
    head = tag(
        "head",
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        tag("title", f"{document['info']['title']} API"),
        Markup('<link rel="icon" href="data:,"><link rel="stylesheet" href="/docs/page.css">'),
        Markup('<script src="/docs/page.js" defer></script>'),
    )
    body = tag("body", _navigation(document), tag("main", *_sections(document)))
    return "<!doctype html>\n" + tag("html", head, body, attributes={"lang": "en"}) + "\n"


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        yield from ((verb.upper(), path, operation) for verb, operation in item.items())


def _navigation(document: dict[str, Any]) -> Markup:
    groups = []
    for group in document["tags"]:
        rows = [
            tag("li", link(f"#{operation['operationId']}", join([_verb(verb), " ", operation["operationId"]])))
            for verb, _, operation in _operations(document)
            if operation["tags"][0] == group["name"]
        ]
        groups.append(tag("section", tag("h2", group["name"]), tag("ul", *rows)))
    ends = [("#types", "Types"), ("#reasons", "Reasons"), ("#elements", "Data"), ("/openapi.json", "openapi.json")]
    rest = tag("ul", *(tag("li", link(target, words)) for target, words in ends))
    search = Markup('<input id="find" type="search" placeholder="Find a method" aria-label="Find a method">')
    return tag("nav", tag("p", tag("strong", document["info"]["title"])), search, *groups, tag("section", rest))


def _sections(document: dict[str, Any]) -> Iterator[Markup]:
    info = document["info"]
    key = Markup('<input id="key" autocomplete="off" spellcheck="false" placeholder="fg_live_...">')
    words = "For trying, an API key or access token; it stays in this page and is sent to no other host: "
    title = tag("h1", f"{info['title']} API")
    yield tag("header", title, prose(info["description"]), tag("p", tag("label", words, key)))
    for group in document["tags"]:
        yield tag("h2", group["name"])
        yield prose(group["description"])
        for verb, path, operation in _operations(document):
            if operation["tags"][0] == group["name"]:
                yield _operation(document, verb, path, operation)
    schemas = document["components"]["schemas"]
    yield tag("h2", "Types", attributes={"id": "types"})
    yield join(_type(name, schema) for name, schema in schemas.items())
    yield tag("h2", "Reasons", attributes={"id": "reasons"})
    yield table(["reason", "domain", "HTTP", "code", "meaning"], _reasons(document[REASONS]))
    yield tag("h2", "Data", attributes={"id": "elements"})
    heads = list(next(iter(document[ELEMENTS].values()), {}))
    yield table(["element", *(head.replace("_", " ") for head in heads)], _elements(document[ELEMENTS]))


def _reasons(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    for row in rows:
        yield [code(row["reason"]), row["domain"], str(row["status"]), row["code"], prose(row["meaning"])]


def _elements(rows: dict[str, dict[str, str]]) -> Iterator[list[str]]:
    for name, row in rows.items():
        yield [tag("code", name, attributes={"id": f"element-{name}"}), *row.values()]


def _operation(document: dict[str, Any], verb: str, path: str, operation: dict[str, Any]) -> Markup:
    scope = operation.get(SCOPE)
    who = join(["An API key with the scope ", code(scope), ", or a session."]) if scope else "Anyone."
    parameters = [_resolved(document, row) for row in operation.get("parameters", [])]
    answers = operation["responses"].items()
    served = [_answer(status, answer) for status, answer in answers if REASONS not in answer]
    refused = [
        [status, code(row["reason"]), row["domain"]] for status, answer in answers for row in answer.get(REASONS, [])
    ]
    parts = [
        tag("h3", _verb(verb), " ", code(path)),
        tag("p", tag("strong", f"{operation['operationId']}. "), operation["summary"], "."),
        prose(operation.get("description", "")),
        tag("p", who),
        table(["parameter", "in", "type", "meaning", "data"], (_parameter(row) for row in parameters)),
        _body(operation),
        table(["answer", "type", "meaning"], served),
        tag("details", tag("summary", "What it refuses with"), table(["HTTP", "reason", "domain"], refused)),
        _trial(document, verb, path, operation) if verb != "HEAD" else "",
    ]
    return tag("section", *parts, attributes={"id": operation["operationId"], "class": "operation"})


def _resolved(document: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    name = row.get("$ref", "").rpartition("/")[2]
    return dict(document["components"]["parameters"][name]) if name else row


def _parameter(row: dict[str, Any]) -> list[str]:
    needed = tag("em", " needed") if row.get("required") else ""
    schema = row["schema"]
    words = prose(row.get("description", ""))
    return [join([code(row["name"]), needed]), row["in"], _kind(schema), words, _remark(schema)]


def _body(operation: dict[str, Any]) -> Markup:
    body = operation.get("requestBody")
    if body is None:
        return Markup("")
    kinds = ([code(media), _kind(content["schema"])] for media, content in body["content"].items())
    return table(["body", "type"], kinds)


def _answer(status: str, answer: dict[str, Any]) -> list[str]:
    kinds = [
        tag("div", code(media), " ", _kind(content.get(EVENT, content["schema"])))
        for media, content in answer.get("content", {}).items()
    ]
    return [status, join(kinds), prose(answer["description"])]


def _trial(document: dict[str, Any], verb: str, path: str, operation: dict[str, Any]) -> Markup:
    """A form that the script sends: the path with its query, and the body. Without the script it is hidden."""
    target = tag("input", attributes={"name": "path", "value": path, "aria-label": "Path"})
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    area = Markup("")
    if content is not None:
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        example = document["components"]["schemas"].get(name, {}).get("examples", [{}])[0]
        text = json.dumps(example, indent=2, ensure_ascii=False)
        area = tag("textarea", text, attributes={"name": "body", "rows": "6", "aria-label": "Body"})
    button = tag("button", f"Send {verb}", attributes={"type": "submit"})
    form = tag("form", target, area, button, tag("pre", attributes={"class": "answer"}), attributes={"data-verb": verb})
    return tag("details", tag("summary", "Try it"), form, attributes={"class": "trial", "hidden": ""})


def _type(name: str, schema: dict[str, Any]) -> Markup:
    needed = set(schema.get("required", ()))
    rows = (_field(field, inner, field in needed) for field, inner in schema.get("properties", {}).items())
    example = schema.get("examples")
    text = json.dumps(example[0], indent=2, ensure_ascii=False) if example else ""
    shown = tag("details", tag("summary", "Example"), tag("pre", text)) if example else ""
    fields = table(["field", "type", "meaning", "data"], rows)
    parts = [tag("h3", name), prose(schema.get("description", "")), fields, shown]
    return tag("section", *parts, attributes={"id": f"type-{name}", "class": "type"})


def _field(name: str, schema: dict[str, Any], always: bool) -> list[str]:
    shown = join([code(name), tag("em", " always") if always else ""])
    return [shown, _kind(schema), prose(schema.get("description", "")), _remark(schema)]


def _kind(schema: dict[str, Any]) -> Markup:
    """What a value is, and its limits."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return link(f"#type-{name}", name)
    if schema.get("type") == "array":
        return join(["list of ", _kind(schema.get("items", {})), _limits(schema)])
    if isinstance(schema.get("additionalProperties"), dict):
        return join(["map to ", _kind(schema["additionalProperties"]), _limits(schema)])
    kinds = schema.get("type", "any value" if "const" not in schema else str(schema["const"]))
    return join([kinds if isinstance(kinds, str) else " or ".join(kinds), _limits(schema)])


def _limits(schema: dict[str, Any]) -> str:
    told = []
    for key, words in _LIMITS.items():
        value = schema.get(key)
        if value is not None and value not in _PLAIN and len(str(value)) <= _SHORT:
            told.append(words.format(f"{value:g}" if isinstance(value, float) else value))
    return f", {', '.join(told)}" if told else ""


def _remark(schema: dict[str, Any]) -> Markup:
    remark = schema.get(REMARK)
    if not remark:
        return Markup("")
    element = link(f"#element-{remark['element']}", remark["element"])
    return join([element, f": {remark['sensitivity']}, {remark['retention']}"])


def _verb(verb: str) -> Markup:
    return tag("span", verb, attributes={"class": f"verb {verb.lower()}"})
