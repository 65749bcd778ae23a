"""Reads catalog.yaml: the models that this release knows."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import yaml

from services.generation.models.domain import Model

_FILE = Path(__file__).with_name("catalog.yaml")
_KINDS = ("PREVIEW", "GENERATIVE")


@functools.cache
def models() -> dict[str, Model]:
    """Return the models by id. Raises ValueError for a catalog that does not hold together."""
    return {name: _model(name, entry) for name, entry in yaml.safe_load(_FILE.read_text()).items()}


def _model(name: str, entry: dict[str, Any]) -> Model:
    fields = {field.name for field in dataclasses.fields(Model)} - {"id"}
    if odd := fields ^ entry.keys():
        raise ValueError(f"catalog.yaml: {name}: wrong or missing {', '.join(sorted(odd))}")
    lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
    model = Model(id=name, **{**entry, **lists})
    if model.kind not in _KINDS or set(model.seconds) != set(model.resolutions):
        raise ValueError(f"catalog.yaml: {name}: kind or seconds")
    return model
