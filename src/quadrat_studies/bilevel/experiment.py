"""The bilevel experiment: train a network to propose ladders, then measure it as a designer would use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from quadrat import Artifact, Context, Event, Metrics, Note, UsageError
from quadrat_studies.bilevel.config import Config
from quadrat_studies.bilevel.data import build_data, read_split
from quadrat_studies.bilevel.metrics import prefixed
from quadrat_studies.bilevel.model import Network, build
from quadrat_studies.bilevel.records import read_rows
from quadrat_studies.bilevel.samples import Samples
from quadrat_studies.bilevel.scoring import measure, measure_baselines, measure_manufacture
from quadrat_studies.bilevel.training import WEIGHTS, Training, chosen_device, save_weights

__all__ = ["Config", "build_data", "evaluate", "train"]


def train(config: Config, context: Context) -> Iterator[Event]:
    """Train a network and measure it on the test split. Resumes from ``context.state`` at any update."""
    folder = _folder(context)
    samples = read_split(folder, "train", data=config.data)
    run = Training(config, context, samples=samples)
    yield Note("derived", run.derived())
    yield from run.steps()
    yield Artifact(WEIGHTS, partial(save_weights, network=run.network, config=config))
    yield from _measured(run.network.cpu(), config, context, train_samples=samples, step=run.step)


def evaluate(config: Config, context: Context) -> Iterator[Event]:
    """Measure a finished network again: other waves, decoding, refining, snapping or data.

    The network is the one in ``context.state``, with the shape it was trained with; what else ``config`` says about
    model and training does not change it.

    Raises:
        UsageError: there is no network, or it takes other channels than the config has.
    """
    if context.state is None:
        raise UsageError("evaluate needs a trained model.", remedy="name a finished run.")
    network = network_of(context.state, config)
    folder = _folder(context)
    samples = read_split(folder, "train", data=config.data)
    yield from _measured(network, config, context, train_samples=samples, step=int(context.state["step"]))


def network_of(state: Mapping[str, Any], config: Config) -> Network:
    """The network a checkpoint holds.

    Raises:
        UsageError: ``config`` asks for input channels that it was not trained with.
    """
    trained = Config.model_validate(state["config"])
    shape = {
        "d_model": trained.d_model,
        "hidden_mult": trained.hidden_mult,
        "spec_mode": trained.spec_mode,
        "use_role_queries": trained.use_role_queries,
        "dtype": trained.dtype,
    }
    about = config.model_copy(update=shape)
    network = build(about, k_max=int(state["k_max"]), vocabulary=state["vocabulary"], seed=0)
    try:
        network.load_state_dict(state["model"])
    except RuntimeError as problem:
        raise UsageError(
            "the network was trained with other input channels than are asked for now.",
            where="use_wave, no_s11, freq_mode, freq_scale",
            remedy="keep the number of channels; ideal, real and mix can be exchanged.",
        ) from problem
    return network


def _measured(
    network: Network, config: Config, context: Context, *, train_samples: Samples, step: int
) -> Iterator[Event]:
    chosen_device(config, context)
    if config.eval_data is not None:
        samples = read_rows(Path(config.eval_data), config.data)
    else:
        samples = read_split(_folder(context), "test", data=config.data)
    found = measure(network, samples, train=train_samples, config=config, seed=context.seed)
    values, costs = prefixed(found.values, "test"), dict(found.costs)
    if config.baselines:
        more, seconds = measure_baselines(found.design, samples, config=config)
        values |= more
        costs |= seconds
    if config.snap:
        values |= prefixed(measure_manufacture(found.design, samples, config=config, seed=context.seed), "test")
    yield Metrics(step, values)
    yield Note("cost", costs)
    yield Artifact(f"{config.output}/test.jsonl", found.rows)


def _folder(context: Context) -> Path:
    if context.data is None:
        raise UsageError(
            "this study needs its data folder.", remedy="run it through quadrat, or call build_data first."
        )
    return context.data
