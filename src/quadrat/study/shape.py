"""Which keys a pydantic model knows, at any depth: for finding misspelt ones and for naming the nearest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel

Model: TypeAlias = type[BaseModel]

_MAX_DEPTH = 8
"""Config classes may contain themselves; nobody nests keys deeper than this."""


def entries(model: Model) -> dict[str, Any]:
    """The keys a model accepts, each with its annotation. A key is a field's alias where it has one."""
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        alias = info.validation_alias if info.validation_alias is not None else info.alias
        if isinstance(alias, AliasChoices):
            alias = next((choice for choice in alias.choices if isinstance(choice, str)), None)
        found[alias if isinstance(alias, str) else name] = info.annotation
        if isinstance(alias, str) and _by_name(model):
            found[name] = info.annotation
    return found


def is_open(model: Model) -> bool:
    """Whether a model takes keys that it does not name."""
    return model.model_config.get("extra") == "allow"


def direct(annotation: Any) -> tuple[Model, ...]:
    """The models a key's value may be: the annotation itself or the members of a union."""
    return tuple(_models(annotation, through_containers=False))


def below(annotation: Any) -> tuple[Model, ...]:
    """The models that occur anywhere in an annotation, in lists and mappings too."""
    return tuple(_models(annotation, through_containers=True))


def dotted_keys(models: Sequence[Model], prefix: str = "", *, depth: int = 0) -> list[str]:
    """Every key of the models and of the models inside, dotted."""
    found: list[str] = []
    for model in models:
        for key, annotation in entries(model).items():
            found.append(prefix + key)
            if depth < _MAX_DEPTH:
                found += dotted_keys(direct(annotation), f"{prefix}{key}.", depth=depth + 1)
    return list(dict.fromkeys(found))


def known_at(model: Model, location: Sequence[Any]) -> list[str]:
    """The keys that are known at a location of a pydantic error."""
    models: tuple[Model, ...] = (model,)
    for step in location:
        inner = [entries(candidate)[step] for candidate in models if step in entries(candidate)]
        if inner:
            models = tuple(deeper for annotation in inner for deeper in below(annotation))
    return list(dict.fromkeys(key for candidate in models for key in entries(candidate)))


def _by_name(model: Model) -> bool:
    config = model.model_config
    return bool(config.get("populate_by_name") or config.get("validate_by_name"))


def _models(annotation: Any, *, through_containers: bool) -> Iterator[Model]:
    annotation = getattr(annotation, "__value__", annotation)  # an alias made by `type X = ...`
    origin = get_origin(annotation)
    if origin is None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
    elif through_containers or origin in (Union, UnionType, Annotated):
        for argument in get_args(annotation):
            yield from _models(argument, through_containers=through_containers)
