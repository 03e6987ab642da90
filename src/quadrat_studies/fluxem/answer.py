"""The one way to an answer: a checkpoint and prompt texts in, answer texts out, by greedy decoding."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from quadrat import UsageError
from quadrat.tensor.stack import member
from quadrat_studies.fluxem.model import Cache, Decoder, restore
from quadrat_studies.fluxem.readouts import codec
from quadrat_studies.fluxem.representations import encode
from quadrat_studies.fluxem.tokens import EOS, Prompts
from quadrat_studies.fluxem.tool import run

CHUNK = 512
LONGEST_ANSWER = 32
_METADATA = "fluxem"


def answer(checkpoint: Path | Mapping[str, Any], prompts: Sequence[str], *, device: str = "cpu") -> list[str]:
    """Answers of a saved model: a ``model.safetensors`` file, or the state a run's checkpoint holds.

    Raises:
        UsageError: there is no such file, or it holds no model of this study.
    """
    state = checkpoint if isinstance(checkpoint, Mapping) else load_model_state(checkpoint)
    return answers_of(restore(state).to(device), prompts)[0]


def answers_of(model: Decoder, prompts: Sequence[str]) -> list[list[str]]:
    """Answers of each replica of a model at hand. What a model writes as a program is run (``tool``)."""
    device = str(model.norm.weight.device)
    is_program = model.config.readout == "program"
    found: list[list[str]] = [[] for _ in model.seeds]
    for start in range(0, len(prompts), CHUNK):
        part = prompts[start : start + CHUNK]
        for mine, texts in zip(found, decode(model, encode(part, model.config).to(device)), strict=True):
            mine.extend(map(run, texts, part) if is_program else texts)
    return found


def decode(model: Decoder, prompts: Prompts) -> list[list[str]]:
    """Each replica's answers to the same prompts ``[B, P]``, which are tensors already."""
    writer = codec(model.config)
    with torch.inference_mode():
        asked = for_all(prompts, len(model.seeds))
        written = _generate(model, asked) if model.generates else model.head.choices(model(asked))
    return [[writer.text(classes) for classes in replica] for replica in written.tolist()]


def for_all(prompts: Prompts, replicas: int) -> Prompts:
    """The same prompts for every replica, ``[R, B, ..]``."""
    parts = (prompts.tokens, prompts.lengths, prompts.features, prompts.counts)
    tokens, lengths, features, counts = (None if part is None else part.expand(replicas, *part.shape) for part in parts)
    assert tokens is not None and lengths is not None and counts is not None
    return replace(prompts, tokens=tokens, lengths=lengths, features=features, counts=counts)


def _generate(model: Decoder, prompts: Prompts) -> torch.Tensor:
    """Token after token, ``[R, B, A]``. Keys and values are kept, so each further token costs one column."""
    columns = prompts.tokens.shape[2]
    cache: Cache = []
    tokens = prompts.tokens
    logits = model.run(model.vectors(prompts, tokens), model.mask(tokens, prompts), reads=1, cache=cache)
    done = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    longest = min(LONGEST_ANSWER, model.config.max_seq_len - columns + 1)
    for place in range(1, longest + 1):
        token = model.head.choices(logits[:, :, -1:])
        tokens = torch.cat([tokens, token], dim=2)
        done |= token[..., 0] == EOS
        if bool(done.all()) or place == longest:
            break
        mask = model.mask(tokens, prompts)[:, :, -1:]
        logits = model.run(model.vectors(prompts, tokens)[:, :, -1:], mask, reads=1, cache=cache)
    return tokens[:, :, columns:]


def save_model(path: Path, model: Decoder, *, place: int = 0) -> None:
    """One replica's weights and scales and the ``ModelConfig`` in a safetensors file. Equal models give equal bytes."""
    tensors = {name: tensor.cpu().contiguous() for name, tensor in member(model.state_dict(), place).items()}
    # One metadata key: safetensors writes several in no fixed order.
    save_file(tensors, path, metadata={_METADATA: model.config.model_dump_json()})


def load_model_state(path: Path) -> dict[str, Any]:
    """``{"model_config", "model"}`` of a file that ``save_model`` wrote.

    Raises:
        UsageError: no such file, a damaged one, or not one of this study.
    """
    if not path.is_file():
        raise UsageError("there is no trained model.", where=str(path), remedy="run the study to its end first.")
    try:
        with safe_open(path, framework="pt") as file:
            described = (file.metadata() or {}).get(_METADATA)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as broken:
        raise UsageError(f"the file is damaged ({broken}).", where=str(path), remedy="run that run again.") from broken
    if described is None:
        raise UsageError("this file holds no fluxem model.", where=str(path), remedy="name a run's model.safetensors.")
    return {"model_config": json.loads(described), "model": tensors}
