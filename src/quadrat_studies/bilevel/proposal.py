"""Ask a trained network for a ladder beside the analytic one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch

from quadrat_studies.bilevel.bands import TYPES
from quadrat_studies.bilevel.config import Config, DataConfig
from quadrat_studies.bilevel.design import FilterDesign
from quadrat_studies.bilevel.inputs import Waves
from quadrat_studies.bilevel.ladder import Ladder, decibels, power
from quadrat_studies.bilevel.masks import Specs
from quadrat_studies.bilevel.model import Network, build
from quadrat_studies.bilevel.samples import Samples
from quadrat_studies.bilevel.scoring import Design, decode, refine


def load_network(place: Path) -> tuple[Network, Config]:
    """A network and its config from ``model.safetensors`` or the folder that holds it.

    Raises:
        ValueError: there is none, or it is not of this study.
    """
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    path = place / "model.safetensors" if place.is_dir() else place
    if not path.is_file():
        raise ValueError(f"there is no trained network at {path}: name a finished run's folder")
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["network"])
        config = Config.model_validate(about["config"])
        network = build(config, k_max=int(about["k_max"]), vocabulary=about["vocabulary"], seed=0)
        network.load_state_dict(load_file(path))
    except (KeyError, SafetensorError, RuntimeError) as problem:
        raise ValueError(f"{path} holds no network of this study ({problem})") from problem
    return network, config


def propose(found: FilterDesign, network: Network, *, config: Config) -> tuple[Ladder, float, bool]:
    """The network's ladder for a design's ideal curve, refined: the ladder, its mean squared dB error, and its mask.

    Raises:
        ValueError: the ends differ, which no network has been trained for.
    """
    request = found.request
    if abs(request.rl / request.rs - 1) > 1e-9:
        raise ValueError("networks are trained between equal ends: leave --model away, or take rl = rs")
    data = DataConfig.model_validate(config.data.model_dump() | {"z0": request.rs})
    one = torch.ones(1, dtype=torch.float64)
    specs = Specs(torch.tensor([TYPES.index(request.kind)]), one * request.d, one * request.pass_db, one * math.inf,
                  one * 40.0, one * 0.0)  # fmt: skip
    ladder = found.ideal.ladder
    samples = Samples(ladder.ids, ladder.x, ladder.x, specs, one * request.f0,
                      torch.tensor([found.prototype.order]), torch.tensor([0]), data)  # fmt: skip
    waves = Waves(samples, config, seed=0)
    answer: Design = refine(decode(network, waves, samples, config=config), samples, config=config)
    proposed = Ladder.of(answer.ids, answer.x)
    curve = decibels(power(proposed, samples.w)[0])
    error = float((curve.clamp_min(-80) - samples.ideal[0].clamp_min(-80)).square().mean())
    return proposed, error, bool(found.mask.passes(decibels(power(proposed, found.w)[0]))[0])
