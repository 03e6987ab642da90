"""A small study of one's own to begin with: a trainable, the study file, a smoke run of it. They run as they are.

The model is a straight line fitted by gradient descent, in plain python: enough to show every part of the contract, and
meant to be replaced.
"""

from __future__ import annotations

import keyword
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from quadrat.core.errors import UsageError
from quadrat.journal.layout import MARKER

TRAINABLE: Final = '''"""What this study trains. Put your own model in place of the line; the loop may stay as it is."""

from __future__ import annotations

import random
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

from quadrat import Artifact, Checkpoint, Context, Event, Metrics, Note


class Config(BaseModel):
    """Every setting with its default. A misspelt key in the study file is refused, with the nearest name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=200, ge=1)
    rate: float = Field(default=0.1, gt=0)
    slope: float = 2.0
    noise: float = Field(default=0.1, ge=0)


def train(config: Config, context: Context) -> Iterator[Event]:
    """Fit y = slope * x from noisy points, one a step. What is yielded is written down; nothing else is."""
    draw = random.Random(context.seed)
    step, weight = 0, 0.0
    if context.state is not None:  # taken up again from a checkpoint
        step, weight = context.state["step"], context.state["weight"]
        draw.setstate(context.state["random"])
    yield Note("derived", {"total_steps": config.steps, "parameter_count": 1})
    for step in range(step + 1, config.steps + 1):
        x = draw.uniform(-1.0, 1.0)
        error = weight * x - (config.slope * x + draw.gauss(0.0, config.noise))
        weight -= config.rate * error * x
        yield Metrics(step, {"train/loss": error * error})
        yield Checkpoint(step, lambda: {"step": step, "weight": weight, "random": draw.getstate()})
    yield Metrics(config.steps, {"test/gap": abs(weight - config.slope)})
    yield Artifact("line.jsonl", [{"weight": weight, "slope": config.slope}])
'''

STUDY: Final = """\
study: {name}
question: How fast may the rate be before the fitted slope gets worse?
hypothesis: A rate of 0.5 brings the slope nearer than 0.05 does, in as many steps.
trainable: {name}:train
config: {{steps: 200}}
axes: {{rate: [0.05, 0.1, 0.5]}}
seeds: [0, 1, 2]
name: R{{rate}}_S{{seed}}
checkpoint: {{every: 100 steps, keep: [last]}}
rules:
  - {{id: nonfinite_loss, metric: train/loss, fail: nonfinite, action: stop}}
primary: [test/gap]
baseline: {{rate: 0.1}}
panels:
  - {{title: Does it learn, metrics: [train/loss]}}
"""

SMOKE: Final = """\
# The same study, small enough to run whenever the code changes.
study: {name}_smoke
question: Does {name} run from its first step to its record?
hypothesis: It does.
trainable: {name}:train
config: {{steps: 5}}
seeds: [0]
name: S{{seed}}
primary: [test/gap]
"""


def write_starter(folder: Path, name: str) -> list[Path]:
    """Write the files of a study called ``name`` into ``folder / name`` and return their paths, what to run last.

    Raises:
        UsageError: the name cannot be a module's and a study's, is taken by another module, or the folder exists.
    """
    if not name.isascii() or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        remedy = f"letters, digits and underscores, such as {_near(name)!r}."
        raise UsageError(f"{name[:100]!r} cannot be the name of a python module.", remedy=remedy)
    place = folder / name
    if place.exists() or place.is_symlink():
        raise UsageError(
            "the folder is here already, and nothing is overwritten.", where=str(place), remedy="another name."
        )
    if name in sys.stdlib_module_names or PathFinder.find_spec(name) is not None:
        raise UsageError(f"there is a module {name!r} already, which would hide the study's.", remedy=f"my_{name}.")
    place.mkdir(parents=True)
    files = {f"{name}.py": TRAINABLE, "smoke.yaml": SMOKE.format(name=name), f"{name}.yaml": STUDY.format(name=name)}
    for file, text in files.items():
        (place / file).write_text(text, encoding="utf-8")
    return [place / file for file in files]


def mark_root(folder: Path) -> Path | None:
    """Make ``folder`` the root of a project unless it lies in one; the marker, or None when there was one."""
    if any((above / MARKER).is_file() for above in (folder, *folder.parents)):
        return None
    marker = folder / MARKER
    marker.write_text("# The folder of this file holds results/, data/ and experiments/.\n", encoding="utf-8")
    return marker


def _near(name: str) -> str:
    letters = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name).strip("_").lower()
    return letters if letters.isidentifier() and not keyword.iskeyword(letters) else "my_study"
