"""The rules of one deployment, where the documents that Filmgate implements disagree: profiles/<name>.yaml.

`default.yaml` takes the strictest rule of all and is complete; another profile names only what differs from it.
"""

import dataclasses
import hashlib
import types
import typing
from pathlib import Path
from typing import Any

import yaml

from services.runtime.config import StartFault

FOLDER = Path(__file__).parent.parent.parent / "profiles"


class ProfileError(StartFault):
    """A profile file is wrong; the message names the field."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where the service is offered."""

    region: str
    """ISO 3166-1 code of the country by whose plan a national phone number is read."""
    time_zone: str
    """IANA name; birthdays and days of deadlines begin by it."""
    locale: str
    """Language of who names none: zh or en."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Age:
    """Who may register. Nobody under either age: a guardian's consent cannot be recorded yet."""

    minimum_age: int
    guardian_below: int
    """Under this age a guardian would have to consent, so nobody may register; 0: `minimum_age` alone decides."""
    birth_date_required: bool
    """False: the statement to be old enough suffices."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialCredit:
    """Credit that a new organization gets, in millionths of the currency; 0 for none."""

    amount_micros: int
    currency: str
    valid_days: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """What one customer may do in a time, and how much may be open at once."""

    open_videos_per_organization: int
    requests_per_minute: int
    creates_per_minute: int
    codes_per_target_hour: int
    codes_per_target_day: int
    codes_per_address_hour: int
    code_tries: int
    keys_per_project: int
    pictures_per_project: int
    """Uploaded pictures that are kept at once."""
    sessions_per_account: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels:
    """The visible label of generated videos. GB 45438-2025: height at least 5 % of the shorter side, at least 2 s."""

    text_zh: str
    text_en: str
    seconds: float
    """How long it is shown from the first frame; 0 for the whole video."""
    height_percent: float
    """Least height of a letter's ink, in percent of the shorter side."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moderation:
    """Which rules are applied to prompts: names of word lists, folders below FILMGATE_WORD_LISTS."""

    word_lists: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Retention:
    """Days that content is kept; 0 for no longer than delivery needs."""

    input_days: int
    output_days: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sessions:
    """How long credentials live."""

    access_minutes: int
    refresh_days: int
    code_minutes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Profile:
    """One deployment's rules. `version` names the exact content, and is stored with what was decided by it."""

    name: str
    version: str
    place: Place
    age: Age
    trial_credit: TrialCredit
    limits: Limits
    labels: Labels
    moderation: Moderation
    retention: Retention
    sessions: Sessions


def load(name: str, folder: Path = FOLDER) -> Profile:
    """Read a profile by its name, or by the path of a file of one's own, `<name>.yaml`, that lies elsewhere.

    Raises ProfileError for an unknown name or field, a missing one, a wrong type.
    """
    rules, own = _read(folder, "default"), Path(name)
    if own.suffix == ".yaml":
        name = own.stem
        rules = _over(rules, _read(own.parent, name), "")
    elif name != "default":
        rules = _over(rules, _read(folder, name), "")
    version = hashlib.sha256(yaml.safe_dump([name, rules], sort_keys=True).encode()).hexdigest()[:12]
    profile: Profile = _made(Profile, {**rules, "name": name, "version": version}, "")
    return profile


def _read(folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.yaml"
    if not name.isidentifier() or not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise ProfileError(f"there is no profile {name!r} in {folder}; there are {known}. Your own comes by its path")
    try:
        rules = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as fault:
        raise ProfileError(f"profile {path} cannot be read: {fault}") from fault
    if not isinstance(rules, dict):
        raise ProfileError(f"profile {name} is not a mapping")
    return rules


def _over(base: dict[str, Any], own: dict[str, Any], path: str) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        if key not in base:
            raise ProfileError(f"{path}{key} is not a field of a profile")
        both = isinstance(base[key], dict) and isinstance(value, dict)
        merged[key] = _over(base[key], value, f"{path}{key}.") if both else value
    return merged


def _made(kind: Any, value: Any, path: str) -> Any:
    """Make a value of the type that the field declares; a number is no text and a text no number."""
    if dataclasses.is_dataclass(kind):
        return _section(typing.cast("type[Any]", kind), value, path)
    if isinstance(kind, types.GenericAlias):
        if not isinstance(value, list):
            raise ProfileError(f"{path} is not a list")
        return tuple(_made(kind.__args__[0], item, path) for item in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind or (kind in (int, float) and value < 0):
        raise ProfileError(f"{path} is not a valid {kind.__name__}")
    return value


def _section(kind: type[Any], value: Any, path: str) -> Any:
    names = {field.name for field in dataclasses.fields(kind)}
    given = value if isinstance(value, dict) else {}
    dot = f"{path}." if path else ""
    if odd := names ^ given.keys():
        raise ProfileError(", ".join(f"{dot}{name}" for name in sorted(odd)) + " missing or not a field of a profile")
    hints = typing.get_type_hints(kind)
    return kind(**{name: _made(hints[name], given[name], f"{dot}{name}") for name in names})
