from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from quadrat.core.errors import StudyError
from quadrat.study.load import Study, load_study

TOY = """
from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from quadrat import Context, Event, Metrics


class Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Training(Block):
    learning_rate: float = 1e-3
    epochs: Annotated[int, Field(ge=1)] = 3


class Small(Block):
    kind: Literal["small"] = "small"
    width: int = 8


class Large(Block):
    kind: Literal["large"] = "large"
    width: int = 64
    heads: int = 2


class Config(Block):
    model_type: Literal["mamba_standard", "mamba_ones_conv"] = "mamba_standard"
    n_layers: int = 2
    gamma: float = 1.0
    label: str = "x"
    max_train_groups: int | None = None
    training: Training = Training()
    encoder: Annotated[Small | Large, Field(discriminator="kind")] | None = None
    layers: list[Small] = []
    weights: dict[str, float] = {}

    @model_validator(mode="after")
    def _fits(self) -> Config:
        if self.n_layers == 13:
            raise ValueError("thirteen layers are bad luck")
        return self


def train(config: Config, context: Context) -> Iterator[Event]:
    yield Metrics(1, {"loss": config.gamma * context.seed})
"""

HEAD = "study: toy_study\nquestion: Does it load?\ntrainable: toy:train\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the toy trainable in it, which is the working directory too."""
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def load(place: Path) -> Callable[..., Study]:
    """Load a study out of text; three lines of head are put in front unless ``whole``."""

    def _load(text: str = "", *overrides: str, whole: bool = False) -> Study:
        (place / "study.yaml").write_text(text if whole else HEAD + text)
        return load_study("study.yaml", overrides=overrides)

    return _load


@pytest.fixture
def complaints(load: Callable[..., Study]) -> Callable[..., Sequence[str]]:
    """The lines of the error that a study is refused with."""

    def _complaints(text: str = "", *overrides: str, whole: bool = False) -> Sequence[str]:
        with pytest.raises(StudyError) as caught:
            load(text, *overrides, whole=whole)
        assert caught.value.exit_code == 2
        return caught.value.paragraph().split("\n")

    return _complaints
