"""The experiment: train one arm, or a pack of runs of one shape, then let it answer every split it has not seen.

``train`` is a pack of one. What a member of a pack yields does not depend on who else is in it; how one is stopped is
said in ``quadrat.core.context.TrainPack``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from quadrat import Artifact, Context, Event, Metrics, UsageError
from quadrat.tensor.stack import check_members
from quadrat_studies.fluxem import oracle, units_oracle
from quadrat_studies.fluxem.answer import answer
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.data import build_data, read_split, splits_to_test
from quadrat_studies.fluxem.dataset_card import read_card
from quadrat_studies.fluxem.figures import draw_errors, draw_ladders
from quadrat_studies.fluxem.gallery import error_gallery, evaluation_results, model_name
from quadrat_studies.fluxem.ladders import ladder_problems, ladder_table
from quadrat_studies.fluxem.metrics import prediction_rows, score
from quadrat_studies.fluxem.model import build
from quadrat_studies.fluxem.tokens import operand_values
from quadrat_studies.fluxem.training import Pack, Rows, Samples, Told
from quadrat_studies.fluxem.units_questions import is_about_units

MAY_DIFFER = {"training": {"learning_rate"}}
"""What the members of a pack may have of their own, beside the seed."""

__all__ = ["Config", "build_data", "evaluate", "pack_key", "pack_tokens", "relative_cost", "train", "train_pack"]


def train(config: Config, context: Context) -> Iterator[Event]:
    """Train one arm and measure it on the test splits. Resumes from ``context.state`` at any step."""
    for row in train_pack([config], [context]):
        yield from (event for event in row if event is not None)


def train_pack(configs: Sequence[Config], contexts: Sequence[Context]) -> Told:
    """Train runs with equal ``pack_key`` at once.

    Raises:
        UsageError: the runs do not fit together.
    """
    check_members(configs, contexts, key=pack_key, differ="seed and learning rate")
    config, folder = configs[0], _data_folder(contexts[0])
    rows = read_split(folder, "train")
    answers = [row["target_text"] for row in rows]
    seeds = [context.seed for context in contexts]
    network = build(config.model, seeds=seeds, operands=operand_values(rows), answers=answers).to(contexts[0].device)
    pack = Pack(configs, contexts, network=network, samples=Samples.of(rows, config, contexts[0].device))
    yield from pack.run(validation=read_split(folder, "validation"))
    if any(pack.at_work):
        yield from pack.tell_each(_examine(config, pack.step, folder=folder, members=len(configs), ask=pack.answers))


def evaluate(config: Config, context: Context) -> Iterator[Event]:
    """Measure a finished model again, on the splits of ``context.data`` and the ladders of ``config`` (both under the
    overrides of ``config``).

    The network is the one in ``context.state``; ``config.model`` and ``config.training`` do not change it.
    """
    if context.state is None:
        raise UsageError("evaluate needs a trained model.", remedy="name a finished run.")
    state = context.state
    model = type(config.model).model_validate(state["model_config"])
    seen = config.model_copy(update={"model": model})
    folder, step = _data_folder(context), int(state["step"])
    ask = lambda texts: [answer(state, texts, device=context.device)]  # noqa: E731
    for stream in _examine(seen, step, folder=folder, members=1, ask=ask):
        yield from stream


def pack_key(config: Config) -> str:
    """What must be equal for runs to be trained in one pack, as text."""
    return json.dumps(config.model_dump(mode="json", exclude=MAY_DIFFER), sort_keys=True)


def pack_tokens(config: Config) -> int:
    """How many columns one run adds to a packed step, about."""
    return config.training.batch_size * (3 * config.model.answer_columns + 1 if config.model.answer_columns > 1 else 11)


def relative_cost(config: Config) -> float:
    """How long a run takes beside others: its columns through all its layers."""
    epoch = -(-config.data.train_size // config.training.batch_size)
    steps = config.training.steps or config.training.epochs * epoch
    return float(steps * pack_tokens(config) * config.model.num_layers * config.model.hidden_dim**2)


Ask = Callable[[Sequence[str]], list[list[str]]]
"""Texts to each member's answers."""


def _examine(config: Config, step: int, *, folder: Path, members: int, ask: Ask) -> list[Iterator[Event]]:
    """Everything that is measured on trained models: one stream of events for each member, equally long."""
    predictions: list[dict[str, list[dict[str, Any]]]] = [{} for _ in range(members)]
    for split in splits_to_test(folder):
        rows = read_split(folder, split)
        for mine, answers in zip(predictions, ask([row["text"] for row in rows]), strict=True):
            mine[split] = prediction_rows(rows, answers)
    tables: list[dict[str, Rows]] = [{} for _ in range(members)]
    for name, problems in ladder_problems(config).items():
        for mine, answers in zip(tables, ask([problem.text for problem in problems]), strict=True):
            mine[name] = ladder_table(problems, answers)
    return [
        _member(model_name(config.model), step, folder=folder, predictions=mine, tables=table)
        for mine, table in zip(predictions, tables, strict=True)
    ]


def _member(
    name: str,
    step: int,
    *,
    folder: Path,
    predictions: Mapping[str, list[dict[str, Any]]],
    tables: Mapping[str, Rows],
) -> Iterator[Event]:
    for split, rows in predictions.items():
        yield Artifact(f"predictions/{split}.jsonl", rows)
        yield Metrics(step, score(rows, split))
    yield Artifact("evaluation_results.json", evaluation_results(name, predictions))
    errors = error_gallery(predictions)
    yield Artifact("tables/errors.jsonl", errors)
    yield Artifact("figures/errors.svg", draw_errors({name: errors}, title="Wrong answers by kind"))
    for ladder, table in tables.items():
        yield Artifact(f"tables/{ladder}.jsonl", table)
    if tables:
        ladders = {ladder: {name: [table]} for ladder, table in tables.items()}
        yield Artifact("figures/ladders.svg", draw_ladders(ladders, title="Digits, operands and carries"))
    yield from _yardsticks(step, folder)


def _yardsticks(step: int, folder: Path) -> Iterator[Event]:
    """What needs no learning: the oracle (gold parse and algebra) and the trivial answers of the data card."""
    card = read_card(folder)
    values: dict[str, float] = {}
    for split in splits_to_test(folder):
        rows = read_split(folder, split)
        answers = (units_oracle if is_about_units(rows[0]) else oracle).oracle_answers(rows)
        found = score(prediction_rows(rows, answers), split)
        values[f"oracle/{split}/exact_match"] = found[f"{split}/exact_match"]
        trivial = card["splits"][split]["trivial"]
        values |= {f"trivial/{split}/{name}": number for name, number in trivial.items()}
    yield Metrics(step, values)


def _data_folder(context: Context) -> Path:
    if context.data is None:
        raise UsageError(
            "this study needs its data folder.", remedy="run it through quadrat, or call build_data first."
        )
    return context.data
