"""The sections that a study's ``Config`` declares for its options, as plain data for the lock.

A field says where it stands in the record: ``Field(json_schema_extra={"section": "Model", "label": "--d-model",
"when": "use_ste is false"})``. Parameters that a run derives are declared on the class:
``model_config = ConfigDict(json_schema_extra={"derived": {"k_max": {"section": "Model", "label": "k_max"}}})``.
The reading wing gets the rows from ``study.lock.json`` and so needs no import of science.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

_TOLD = ("section", "label", "when")


def config_sections(config_class: type[BaseModel]) -> list[dict[str, Any]]:
    """One row per declared option, in the order of the class.

    Each row has ``key`` (dotted, as in the config), ``section`` and, where declared, ``label``, ``when`` (the condition
    under which the option has an effect) and ``derived`` (true for a parameter that the run works out). Fields without
    a section are left out, so a class that declares none gives an empty list.
    """
    return [*_fields(config_class, ""), *_derived(config_class)]


def _fields(model: type[BaseModel], prefix: str) -> Iterator[dict[str, Any]]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        inner = _model(field.annotation)
        if inner is not None:
            yield from _fields(inner, f"{key}.")
            continue
        row = _row(key, field.json_schema_extra)
        if row is not None:
            yield row


def _derived(model: type[BaseModel]) -> Iterator[dict[str, Any]]:
    extra = model.model_config.get("json_schema_extra")
    declared = extra.get("derived") if isinstance(extra, Mapping) else None
    for name, told in declared.items() if isinstance(declared, Mapping) else ():
        row = _row(str(name), told)
        if row is not None:
            yield {**row, "derived": True}


def _row(key: str, told: Any) -> dict[str, Any] | None:
    if not isinstance(told, Mapping) or not told.get("section"):
        return None
    return {"key": key, **{name: str(told[name]) for name in _TOLD if told.get(name)}}


def _model(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, also when it may be None."""
    for found in (annotation, *get_args(annotation)):
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return None
