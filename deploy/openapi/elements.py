"""Data elements in words that a developer understands: what a field holds, how delicate it is, how long it stays."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from deploy.openapi.contract import Contract

ELEMENT, RULE = "filmgate.privacy.v1.element", "filmgate.privacy.v1.rule"
REMARK, TABLE = "x-filmgate-element", "x-filmgate-elements"
_SHORT = ("category", "sensitivity", "retention")
_ERASURE = {
    "SHRED": "its key is destroyed and the sealed value removed",
    "NULLIFY": "removed",
    "PSEUDONYM": "replaced by a pseudonym that leads nowhere",
    "DELETE_ROW": "deleted with its record",
}
_EXPORT = {
    "PROVIDED": "in the person's copy, as given",
    "OBSERVED": "in the person's copy, as seen while the service was used",
    "DERIVED": "in the person's copy, as worked out from other data",
    "NEVER": "not in the person's copy",
}
_LOGS = {"HIDDEN": "never", "HASHED": "as a short keyed hash", "PLAIN": "as it is"}


class Elements:
    """The elements of a contract; none where it has no elements.proto."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self.rows: dict[str, dict[str, str]] = {}
        """Each element's whole rule in words, by its name."""
        self._names: dict[int, str] = {}
        try:
            enum = contract.pool.FindEnumTypeByName("filmgate.privacy.v1.Element")
        except KeyError:
            return
        for value in enum.values[1:]:
            rule = contract.option(value.GetOptions(), RULE)
            self._names[value.number] = value.name
            self.rows[value.name] = _described(contract.comment(f"{enum.full_name}.{value.name}"), rule)

    def remark(self, field: FieldDescriptor) -> dict[str, str]:
        """Return what a field's element means, in short; empty where it names none."""
        number = self._contract.option(field.GetOptions(), ELEMENT)
        if not number:
            return {}
        name = self._names[number]
        return {"element": name, **{key: self.rows[name][key] for key in _SHORT}}


def _described(words: str, rule: Any) -> dict[str, str]:
    values = {
        field.name: field.enum_type.values_by_number[getattr(rule, field.name)].name
        for field in rule.DESCRIPTOR.fields
        if field.enum_type is not None
    }
    personal = rule.legal_basis != "none"
    return {
        "is": words,
        "category": rule.category or "none",
        "sensitivity": ("sensitive personal data" if rule.sensitive else "personal data")
        if personal
        else "not personal data",
        "purposes": ", ".join(rule.purposes) or "none",
        "legal_basis": rule.legal_basis,
        "retention": _retention(rule, personal),
        "erasure": _kept(rule) if values["on_erase"] == "KEEP" else _ERASURE[values["on_erase"]],
        "export": _EXPORT[values["export"]],
        "storage": "sealed under the person's own key" if rule.sealed else "plain",
        "logs": _LOGS[values["log"]],
    }


def _retention(rule: Any, personal: bool) -> str:
    if rule.retention_days:
        return f"{rule.retention_days} day{'s' if rule.retention_days > 1 else ''} after its last use at most"
    if not personal:
        return "as long as the service needs it"
    return "as long as the account" + (f" and {rule.keep_days} days more" if rule.keep_days else "")


def _kept(rule: Any) -> str:
    return f"kept for {rule.keep_days} days: {rule.keep_basis}" if rule.keep_days else f"kept: {rule.keep_basis}"
