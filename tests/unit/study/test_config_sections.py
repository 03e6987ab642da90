from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from quadrat.study.config_sections import config_sections


class Inner(BaseModel):
    path: str | None = Field(default=None, json_schema_extra={"section": "Data", "label": "--data"})
    bare: int = 1


class Config(BaseModel):
    model_config = ConfigDict(json_schema_extra={"derived": {"k_max": {"section": "Model", "label": "k_max"}}})

    data: Inner = Inner()
    maybe: Inner | None = None
    width: int = Field(default=8, json_schema_extra={"section": "Model", "when": "data.path is set"})


class Plain(BaseModel):
    width: int = 8


def test_rows_are_the_declared_fields_in_order_with_dotted_keys():
    assert config_sections(Config) == [
        {"key": "data.path", "section": "Data", "label": "--data"},
        {"key": "maybe.path", "section": "Data", "label": "--data"},
        {"key": "width", "section": "Model", "when": "data.path is set"},
        {"key": "k_max", "section": "Model", "label": "k_max", "derived": True},
    ]


def test_a_class_without_sections_gives_none():
    assert config_sections(Plain) == []
