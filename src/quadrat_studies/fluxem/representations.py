"""Every way in which a number may enter the network, one after the other.

Shapes: N prompts, S numbers in a prompt, F coordinates of a code, R replicas, h width, D digits, T columns.

    token_only  1 2 3        its characters, the leading digit first
    abacus      3 2 1        its characters, the units first; each adds a vector for its place in the number
    chunks      12 345       tokens of three digits, cut from the right; the first may have one or two
    hybrid      [F] -> h     codes through a small projector: linear (x), log (log2|x|, sign, zeros), residues (circles)
    xval        [1] -> h     one learned vector times the value, the largest trained operand at 5    (arXiv 2310.02989)
    fone        [2 D] -> h   points on circles of 10, 100, .., filled up with zeros to the width     (arXiv 2502.09741)
    bits        [64] -> h    the bits of its float64, as +1 and -1, through one matrix               (arXiv 2510.06824)
    residues    2 0 5 ..     one token for the remainder by each modulus, each in a lane of its own

The first three and the last are tokens only. In the others a number is one column ``NUM`` whose vector comes from its
code. A code is a fixed function of the number; what is learned is how it becomes a vector, and that is an ``Entry``.

Lanes. The integers modulo a product of coprime moduli are the pairs, triples, .. of their remainders, and + - * work on
each remainder for itself. ``residues`` builds that in: a column sees the columns of its own modulus and the operators,
and one "=" for each modulus is read. All lanes share the same weights. What is not built in is what + - and * do to
remainders; that is learned from problems.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quadrat.tensor import stack
from quadrat_studies.fluxem import algebra
from quadrat_studies.fluxem.circular import encode_circles
from quadrat_studies.fluxem.config import ModelConfig
from quadrat_studies.fluxem.layers import Affine, Seeds
from quadrat_studies.fluxem.tokens import (
    ALPHABET,
    IDS,
    PAD,
    Prompts,
    alphabet_size,
    encode_prompts,
    number_features,
    prompt_tokens,
)

ONE_COLUMN = frozenset({"hybrid", "xval", "fone", "bits"})
"""Representations that show a number as one column."""
CHUNK = 3
CHUNKS: Mapping[str, int] = MappingProxyType(
    {
        f"{number:0{digits}d}": len(ALPHABET) + index
        for index, (digits, number) in enumerate((d, n) for d in range(1, CHUNK + 1) for n in range(10**d))
    }
)
"""Token ids of one, two and three digits; they follow the alphabet."""
SHARED = 0
XVAL_LIMIT = 5.0

_NUMBER = re.compile(r"[0-9]+")
_DIGITS = range(IDS["0"], IDS["9"] + 1)


# Tokens ------------------------------------------------------------------------------------------------------------


def vocabulary(config: ModelConfig) -> int:
    """How many different tokens there are."""
    kinds = {"chunks": len(CHUNKS), "residues": sum(config.moduli) + len(config.moduli)}
    return alphabet_size(config) + kinds.get(config.representation, 0)


def split_chunks(digits: str) -> list[str]:
    """``"12345"`` -> ``["12", "345"]``."""
    first = len(digits) % CHUNK
    rest = [digits[start : start + CHUNK] for start in range(first, len(digits), CHUNK)]
    return [digits[:first], *rest] if first else rest


def chunk_tokens(text: str) -> list[int]:
    """Token ids of a text without spaces, its numbers as chunks."""
    pieces = re.findall(r"[0-9]+|[^0-9]", text)
    return [
        token
        for piece in pieces
        for token in ([CHUNKS[chunk] for chunk in split_chunks(piece)] if piece[0].isdigit() else prompt_symbol(piece))
    ]


def encode(texts: Sequence[str], config: ModelConfig) -> Prompts:
    """Prompts as tensors, in the representation of ``config``."""
    kind = config.representation
    if kind in ("token_only", "hybrid") and "residues" not in config.number_features:
        return encode_prompts(texts, config)
    if kind == "abacus":
        texts = [_NUMBER.sub(lambda match: match[0][::-1], text) for text in texts]
    if kind == "residues":
        rows = [residue_tokens(text.replace(" ", ""), config.moduli) for text in texts]
    elif kind == "chunks":
        rows = [[*chunk_tokens(text.replace(" ", "")), IDS["="]] for text in texts]
    else:
        rows = [prompt_tokens(text, hybrid=kind in ONE_COLUMN) for text in texts]
    width = max(map(len, rows))
    tokens = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    if kind not in ONE_COLUMN:
        lone = lone_columns(tokens, lane_of_tokens(config)) if kind == "residues" else 0
        return Prompts(tokens, lengths, None, torch.zeros(len(rows), dtype=torch.long), lone)
    numbers = [[int(number) for number in _NUMBER.findall(text)] for text in texts]
    counts = torch.tensor([len(row) for row in numbers])
    codes = coordinates([value for row in numbers for value in row], config)
    features = torch.zeros(len(rows), int(counts.max()), codes.shape[-1])
    features[torch.arange(features.shape[1]) < counts[:, None]] = codes
    return Prompts(tokens, lengths, features, counts)


def abacus_places(tokens: Tensor) -> Tensor:
    """Place of each digit in its run of digits, from 1; 0 where there is no digit. ``[.., T]`` -> ``[.., T]``."""
    is_digit = (tokens >= _DIGITS.start) & (tokens < _DIGITS.stop)
    count = is_digit.cumsum(-1)
    before = torch.where(is_digit, 0, count).cummax(-1).values
    return (count - before) * is_digit


def prompt_symbol(symbol: str) -> list[int]:
    """The token of an operator or bracket, as a list of one.

    Raises:
        UsageError: the alphabet lacks it.
    """
    return prompt_tokens(symbol, hybrid=False)[:-1]


def residue_tokens(text: str, moduli: Sequence[int]) -> list[int]:
    """Token ids of a text without spaces, its numbers as remainders, and an "=" for each modulus."""
    starts = [len(ALPHABET) + sum(moduli[:place]) for place in range(len(moduli))]
    tokens: list[int] = []
    for piece in re.findall(r"[0-9]+|[^0-9]", text):
        number = [start + int(piece) % m for start, m in zip(starts, moduli, strict=True)] if piece.isdigit() else None
        tokens += number or prompt_symbol(piece)
    first = len(ALPHABET) + sum(moduli)
    return [*tokens, *range(first, first + len(moduli))]


def lane_of_tokens(config: ModelConfig) -> Tensor:
    """The lane of each token id, ``[V]``: 1 for the first modulus and so on, ``SHARED`` for what is no remainder."""
    lanes = torch.arange(1, len(config.moduli) + 1)
    shared = torch.full((len(ALPHABET),), SHARED)
    return torch.cat([shared, lanes.repeat_interleave(torch.tensor(config.moduli)), lanes])


def lone_columns(tokens: Tensor, lanes: Tensor) -> int:
    """How many leading columns of ``[N, P]`` see no other; 0 unless all prompts have the same lanes in one order."""
    rows = lanes[tokens]
    if not bool((rows == rows[:1]).all()) or bool((tokens == PAD).any()):
        return 0
    row = rows[0].tolist()
    sees_another = (lane in row[:column] or SHARED in row[:column] for column, lane in enumerate(row))
    return next((column for column, does in enumerate(sees_another) if does), 0)


def circle_start(table: Tensor, config: ModelConfig, seeds: Seeds) -> None:
    """Put the remainders' first vectors ``[R, V, h]`` on a circle of one plane, the same plane for every modulus, each
    with the noise it had. Neighbouring remainders then start as neighbours; training may move them anywhere."""
    angles = torch.cat([torch.arange(m) * (2 * torch.pi / m) for m in config.moduli])
    points = torch.stack([angles.cos(), angles.sin()], -1) * 2**0.5
    plane = stack.drawn(seeds, "circle", draw=lambda generator: torch.randn(2, table.shape[-1], generator=generator))
    with torch.no_grad():
        rows = table[:, len(ALPHABET) : len(ALPHABET) + len(angles)]
        rows.mul_(0.5).add_(0.1 * (points @ plane))


# Codes: numbers to coordinates -------------------------------------------------------------------------------------


def coordinates(values: Sequence[Any], config: ModelConfig) -> Tensor:
    """The code of each number, ``[len(values), F]`` in float32. Integers are reduced exactly before any rounding."""
    kind = config.representation
    kinds = config.number_features if kind == "hybrid" else (kind,)
    if kind == "hybrid" and "residues" not in kinds:
        return number_features(values, kinds).float()
    return torch.from_numpy(np.concatenate([_code(values, each, config) for each in kinds], -1)).float()


def _code(values: Sequence[int], kind: str, config: ModelConfig) -> np.ndarray:
    if kind in ("residues", "fone"):
        numbers = np.array(values, np.int64)
        periods = config.moduli if kind == "residues" else circle_periods(config)
        return encode_circles(numbers, periods) * np.float32(2**0.5)  # a coordinate then has variance 1
    numbers = np.array([float(value) for value in values])
    if kind == "bits":
        return encode_bits(numbers)
    codes = {"linear": algebra.encode_linear, "log": algebra.encode_log, "xval": lambda x, _: x[:, None]}
    return codes[kind](numbers, "float64")


def circle_periods(config: ModelConfig) -> list[int]:
    """10, 100, .., of ``fone``."""
    return [10 ** (place + 1) for place in range(config.circle_digits)]


def encode_bits(numbers: np.ndarray) -> np.ndarray:
    """The 64 bits of each float64, the sign first, as +1 and -1 in float32: ``[n]`` -> ``[n, 64]``."""
    bits = np.unpackbits(numbers.astype(">f8").view(np.uint8).reshape(len(numbers), 8), axis=-1)
    return bits.astype(np.float32) * 2 - 1


def decode_bits(bits: np.ndarray) -> np.ndarray:
    """The float64 with these bits: ``[n, 64]`` of 0 and 1 -> ``[n]``."""
    return np.packbits(bits.astype(np.uint8), axis=-1).view(">f8")[..., 0].astype("float64")


def width_of_code(config: ModelConfig) -> int:
    """F: how many coordinates a number has."""
    return coordinates([0], config).shape[-1]


# Entries: coordinates to vectors -----------------------------------------------------------------------------------


@final
class Entry(nn.Module):
    """Coordinates of numbers ``[R, n, F]`` to vectors of the stream ``[R, n, h]``.

    The scales are fitted on the training operands and are not learned: mean 0 and variance 1 for codes of size, the
    value over its largest for ``xval``; points on circles and bits are of one size already.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: ModelConfig, seeds: Seeds) -> None:
        super().__init__()
        self.kind, self.width = config.representation, config.hidden_dim
        features = width_of_code(config)
        self.register_buffer("mean", torch.zeros(len(seeds), features))
        self.register_buffer("scale", torch.ones(len(seeds), features))
        self.fixed = 2 * len(config.moduli) if "residues" in config.number_features and self.kind == "hybrid" else 0
        if self.kind == "hybrid":
            # A digit is a saw-tooth of the value, so the hidden units bend at points spread over two deviations of
            # the training range from the start.
            self.bend = Affine(seeds, "entry.bend", fan_in=features, fan_out=self.width // 2)
            self.out = Affine(seeds, "entry.out", fan_in=self.width // 2, fan_out=self.width)
            replicas = len(seeds)
            size = features**-0.5 if self.fixed else 1.0
            shape = (features, self.width // 2)
            self.bend.weight = stack.normal(seeds, "entry.bend.weight", shape=shape, std=[size] * replicas)
            self.bend.bias = stack.uniform(seeds, "entry.bend.bias", shape=shape[1:], low=-2.0, high=2.0)
        elif self.kind == "xval":
            self.direction = stack.normal(seeds, "entry.direction", shape=(self.width,), std=[0.1] * len(seeds))
        elif self.kind == "bits":
            self.out = Affine(seeds, "entry.out", fan_in=features, fan_out=self.width)

    def fit(self, operands: Sequence[Any], config: ModelConfig) -> None:
        """Take the scales from the training operands; a constant coordinate becomes 0, not noise."""
        raw = coordinates(operands, config).double()
        if self.kind == "xval":
            self.scale.fill_(max(1.0, raw.abs().max().item()) / XVAL_LIMIT)
        elif self.kind == "hybrid":
            deviation, mean = raw.std(0, correction=0), raw.mean(0)
            deviation[len(mean) - self.fixed :], mean[len(mean) - self.fixed :] = 1.0, 0.0
            self.mean.copy_(mean)
            self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))

    def standardise(self, raw: Tensor) -> Tensor:
        """``[R, .., F]`` -> ``[R, .., F]``."""
        return (raw - stack.spread(self.mean, raw)) / stack.spread(self.scale, raw)

    def forward(self, raw: Tensor) -> Tensor:
        """``[R, n, F]`` -> ``[R, n, h]``."""
        code = self.standardise(raw)
        if self.kind == "hybrid":
            return self.out(F.gelu(self.bend(code)))
        if self.kind == "xval":
            return code * stack.spread(self.direction, code)
        return self.out(code) if self.kind == "bits" else F.pad(code, (0, self.width - code.shape[-1]))
