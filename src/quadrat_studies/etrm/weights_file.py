"""``model.safetensors``: weights, the averaged weights, the architecture they belong to and the tasks behind them.

A pre-trained decoder is read from such a file, or from TRM's tensors put into the same format. The architecture stands
in the header and must be equal: a decoder run at other cycles than it was trained at is another function. Weights that
were averaged in training are stored averaged and are what is loaded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quadrat import UsageError
from quadrat_studies.etrm.config import DECODER_KEYS, ArchConfig
from quadrat_studies.etrm.model import Solver

HEADER = "etrm"
_TRM = (
    (r"L_level\.layers\.(\d+)\.self_attn\.qkv_proj\.weight", r"layers.\1.qkv"),
    (r"L_level\.layers\.(\d+)\.self_attn\.o_proj\.weight", r"layers.\1.out"),
    (r"L_level\.layers\.(\d+)\.mlp\.gate_up_proj\.weight", r"layers.\1.gate_up"),
    (r"L_level\.layers\.(\d+)\.mlp\.down_proj\.weight", r"layers.\1.down"),
    (r"embed_tokens\.embedding_weight", "embed_tokens"),
    (r"lm_head\.weight", "lm_head"),
    (r"q_head\.(weight|bias)", r"q_head.\1"),
    (r"H_init", "h_init"),
    (r"L_init", "l_init"),
)


def save_model(path: Path, *, solver: Solver, averaged: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write weights (``live.``) and averaged weights (``averaged.``) with a header about them."""
    from safetensors.torch import save_file

    live = {f"live.{name}": tensor for name, tensor in solver.state_dict().items()}
    mean = {f"averaged.{name}": tensor for name, tensor in averaged.items()}
    header = {HEADER: json.dumps({"arch": solver.arch.model_dump(mode="json"), **about}, sort_keys=True)}
    save_file({name: t.detach().cpu().contiguous().clone() for name, t in (live | mean).items()}, path, header)


def read_model(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header of a file.

    Raises:
        UsageError: it is no safetensors file, or has no such header.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            header = (file.metadata() or {}).get(HEADER)
    except (OSError, SafetensorError) as error:
        raise UsageError(
            f"no weights can be read: {error}.", where=str(path), remedy="name a .safetensors file."
        ) from error
    if header is None:
        raise UsageError(
            "the file does not say which architecture its weights belong to.",
            where=str(path),
            remedy=f'put {{"arch": {{..}}, "trained_on": [..]}} as JSON into its metadata under {HEADER!r}.',
        )
    return tensors, json.loads(header)


def load_decoder(solver: Solver, path: Path) -> dict[str, Any]:
    """Put a trained decoder's tensors in place; the encoder keeps its own. Returns the header.

    Raises:
        UsageError: the file cannot be read, its architecture is another one, or tensors are missing.
    """
    tensors, header = read_model(path)
    _check_architecture(solver.arch, header.get("arch", {}), path)
    found = decoder_tensors(tensors, channels=solver.arch.hidden_size // solver.arch.num_heads)
    wanted = solver.inner.state_dict()
    missing = sorted(name for name in wanted if name not in found)
    odd = sorted(name for name in wanted if name in found and found[name].shape != wanted[name].shape)
    if missing or odd:
        raise UsageError(
            f"the decoder cannot be loaded: missing {missing or 'nothing'}, of another shape {odd or 'nothing'}.",
            where=str(path),
            remedy="a decoder of this architecture.",
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(found[name])
    return header


def decoder_tensors(tensors: Mapping[str, Tensor], *, channels: int) -> dict[str, Tensor]:
    """The decoder's tensors by our names: averaged before live, wrappers' prefixes taken off.

    TRM pairs channel ``i`` of a head with ``i + d/2``; here neighbours are a pair, so its queries and keys are
    reordered. Scores do not change by that.
    """
    ours = {
        name.removeprefix("averaged.inner."): t for name, t in tensors.items() if name.startswith("averaged.inner.")
    }
    if ours:
        return ours
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        bare = re.sub(r"^(?:_orig_mod\.|module\.|model\.|inner\.)+", "", name)
        for pattern, ours_name in _TRM:
            match = re.fullmatch(pattern, bare)
            if match:
                key = match.expand(ours_name)
                found[key] = _neighbours(tensor, channels) if key.endswith(".qkv") else tensor.reshape(
                    tensor.shape[-1:] if key in ("h_init", "l_init") else tensor.shape
                )  # fmt: skip
    return found


def _neighbours(qkv: Tensor, channels: int) -> Tensor:
    width = qkv.shape[1]
    q_k, v = qkv[: 2 * width], qkv[2 * width :]
    halves = q_k.view(-1, 2, channels // 2, width)
    return torch.cat((halves.transpose(1, 2).reshape(2 * width, width), v))


def _check_architecture(arch: ArchConfig, written: Mapping[str, Any], path: Path) -> None:
    mine = arch.model_dump(mode="json")
    apart = [key for key in DECODER_KEYS if written.get(key) != mine[key]]
    if apart:
        told = ", ".join(f"{key} {written.get(key)!r} there, {mine[key]!r} here" for key in apart)
        raise UsageError(
            f"the decoder was trained as another architecture: {told}.",
            where=str(path),
            remedy="set arch to the values of the file.",
        )
