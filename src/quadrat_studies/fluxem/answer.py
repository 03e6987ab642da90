"""The one way to an answer: a checkpoint and prompt texts in, answer texts out, by greedy decoding."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from quadrat import UsageError
from quadrat_studies.fluxem.model import DIGITS, SIGNS, Cache, Decoder, restore, visible
from quadrat_studies.fluxem.tokens import EOS, PAD, Prompts, answer_text, digits_text, encode_prompts

CHUNK = 512
LONGEST_ANSWER = 32
_METADATA = "fluxem"


def answer(checkpoint: Path | Mapping[str, Any], prompts: Sequence[str], *, device: str = "cpu") -> list[str]:
    """Answers of a saved model: a ``model.safetensors`` file, or the state a run's checkpoint holds.

    Raises:
        UsageError: there is no such file, or it holds no model of this study.
    """
    state = checkpoint if isinstance(checkpoint, Mapping) else load_model_state(checkpoint)
    return answer_with(restore(state).to(device), prompts)


def answer_with(model: Decoder, prompts: Sequence[str]) -> list[str]:
    """Answers of a model at hand."""
    device = str(model.position.weight.device)
    chunks = (prompts[start : start + CHUNK] for start in range(0, len(prompts), CHUNK))
    return [text for chunk in chunks for text in decode(model, encode_prompts(chunk, model.config).to(device))]


def decode(model: Decoder, prompts: Prompts) -> list[str]:
    """Answers to prompts that are tensors already."""
    training = model.training
    model.eval()
    with torch.inference_mode():
        answers = _number_head(model, prompts) if model.config.readout == "number_head" else _digits(model, prompts)
    model.train(training)
    return answers


def _number_head(model: Decoder, prompts: Prompts) -> list[str]:
    logits = model(prompts)
    sign = logits[:, :SIGNS].argmax(-1, keepdim=True)
    digits = logits[:, SIGNS:].unflatten(1, (-1, DIGITS)).argmax(-1)
    return [digits_text(classes) for classes in torch.cat([sign, digits], 1).tolist()]


def _digits(model: Decoder, prompts: Prompts) -> list[str]:
    """Keys and values are kept, so each further token costs one column."""
    columns = prompts.tokens.shape[1]
    cache: Cache = []
    x = model.embed(prompts) + model.position(model.rows(-columns + 1, 1))
    logits = model.run(x, visible(prompts.tokens, columns), reads=1, cache=cache)
    mask = (prompts.tokens != PAD)[:, None, None, :]
    written: list[torch.Tensor] = []
    done = torch.zeros(len(mask), dtype=torch.bool, device=mask.device)
    longest = min(LONGEST_ANSWER, model.config.max_seq_len - columns + 1)
    for place in range(1, longest + 1):
        token = logits[:, -1].argmax(-1)
        written.append(token)
        done |= token == EOS
        if bool(done.all()) or place == longest:
            break
        mask = torch.nn.functional.pad(mask, (0, 1), value=True)
        x = model.embedding(token[:, None]) + model.position(model.rows(place, place + 1))
        logits = model.run(x, mask, reads=1, cache=cache)
    reverse = model.config.answer_order == "reversed"
    return [answer_text(tokens, reverse=reverse) for tokens in torch.stack(written, 1).tolist()]


def save_model(path: Path, model: Decoder) -> None:
    """Weights, feature scales and the ``ModelConfig`` in one safetensors file. Equal models give equal bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
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
