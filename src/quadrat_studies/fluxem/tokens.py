"""From text to tensors and back: the alphabet, where numbers stand, and splits made ready once.

A prompt is the problem's text and "="; spaces are dropped, since operators already separate numbers (questions about
units keep theirs). Prompts are aligned on the right, so that "=" stands in the last column of every batch and answers
start beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, final

import numpy as np
import torch

from quadrat import UsageError
from quadrat_studies.fluxem import algebra
from quadrat_studies.fluxem.config import ModelConfig
from quadrat_studies.fluxem.units import Quantity
from quadrat_studies.fluxem.units_config import UNITS_FEATURES
from quadrat_studies.fluxem.units_questions import is_about_units
from quadrat_studies.fluxem.units_tokens import (
    COLUMN,
    LETTERS,
    prompt_symbols,
    quantities,
    quantity_coordinates,
    quantity_values,
)

PAD, EOS, NUM = 0, 1, 2
ALPHABET = ("", "<eos>", "<num>", *"0123456789+-*/()=")
UNITS_ALPHABET = (*ALPHABET, *LETTERS)
"""What units need as well; it begins with the alphabet of arithmetic, so ids mean the same in both."""
IDS: Mapping[str, int] = MappingProxyType({symbol: index for index, symbol in enumerate(ALPHABET) if index > NUM})
UNITS_IDS: Mapping[str, int] = MappingProxyType({s: index for index, s in enumerate(UNITS_ALPHABET) if index > NUM})

_NUMBER = re.compile(r"[0-9]+")
Feature = str


def find_numbers(text: str) -> list[tuple[int, int]]:
    """Character spans ``(start, end)`` of the operands of ``text``."""
    return [match.span() for match in _NUMBER.finditer(text)]


def find_integers(text: str) -> list[int]:
    """The operands of ``text``."""
    return [int(text[start:end]) for start, end in find_numbers(text)]


def prompt_tokens(text: str, *, hybrid: bool) -> list[int]:
    """Token ids of a prompt, "=" included; with ``hybrid`` each number is one ``NUM``.

    Raises:
        UsageError: the text holds a character the alphabet lacks.
    """
    symbols = _NUMBER.sub("N", text) if hybrid else text
    try:
        return [NUM if symbol == "N" else IDS[symbol] for symbol in symbols.replace(" ", "")] + [IDS["="]]
    except KeyError as unknown:
        raise UsageError(
            f"the prompt {text!r} holds {unknown.args[0]!r}.", remedy=f"use {''.join(ALPHABET[3:])!r} and spaces."
        ) from None


def units_prompt_tokens(text: str, *, hybrid: bool) -> list[int]:
    """Token ids of a question about units, "=" included; with ``hybrid`` each quantity's code is one ``NUM``.

    Raises:
        UsageError: the text holds a character the alphabet lacks; with ``hybrid``, it is no question about units.
    """
    try:
        return [NUM if symbol == COLUMN else UNITS_IDS[symbol] for symbol in prompt_symbols(text, hybrid=hybrid)]
    except KeyError as unknown:
        raise UsageError(
            f"the prompt {text!r} holds {unknown.args[0]!r}.", remedy=f"use {''.join(UNITS_ALPHABET[3:])!r}."
        ) from None


def alphabet_size(config: ModelConfig) -> int:
    """How many characters prompts and answers are made of, the three special ones included."""
    return len(UNITS_ALPHABET if config.alphabet == "units" else ALPHABET)


def answer_tokens(answer: str, *, reverse: bool) -> list[int]:
    """Token ids of an answer, ``EOS`` included."""
    return [UNITS_IDS[symbol] for symbol in (answer[::-1] if reverse else answer)] + [EOS]


def answer_text(tokens: Sequence[int], *, reverse: bool) -> str:
    """The text of generated tokens. One that never came to ``EOS`` ends in an ellipsis: it is no number."""
    ids = list(tokens)
    finished = EOS in ids
    symbols = "".join(UNITS_ALPHABET[token] for token in ids[: ids.index(EOS) if finished else None])
    return (symbols[::-1] if reverse else symbols) + ("" if finished else "...")


def digit_classes(answer: str, digits: int) -> list[int]:
    """What the number head must say: 1 for a minus sign, then ``digits`` digits, units first.

    Raises:
        UsageError: the answer has more digits than that.
    """
    figures = answer.lstrip("-")
    if len(figures) > digits:
        raise UsageError(
            f"the answer {answer} has {len(figures)} digits, the number head {digits}.",
            where="model.answer_digits",
            remedy=f"set model.answer_digits to {len(figures)} or more.",
        )
    return [int(answer.startswith("-"))] + [int(figure) for figure in figures[::-1].ljust(digits, "0")]


def digits_text(classes: Sequence[int]) -> str:
    """The integer that a number head's classes spell."""
    value = int("".join(str(digit) for digit in reversed(classes[1:])))
    return str(-value if classes[0] else value)


def number_features(values: Sequence[Any], kinds: Sequence[Feature]) -> torch.Tensor:
    """Raw code coordinates ``[len(values), F]`` in float64, of integers or of quantities. The model standardises."""
    if UNITS_FEATURES.issuperset(kinds):
        return torch.from_numpy(quantity_coordinates(values, kinds))
    numbers = np.array([float(value) for value in values])
    codes = {"linear": algebra.encode_linear, "log": algebra.encode_log}
    return torch.from_numpy(np.concatenate([codes[kind](numbers, "float64") for kind in kinds], axis=-1))


@final
@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts as tensors. N prompts, P columns, S numbers, F features.

    tokens: ``[N, P]``, padded on the left. lengths: ``[N]``. features: ``[N, S, F]`` float32, zero where a prompt
    has fewer numbers, or None for characters. counts: ``[N]``, numbers in each prompt. lone: leading columns that see
    no other column, where all prompts are laid out alike; 0 where that is not known.
    """

    tokens: torch.Tensor
    lengths: torch.Tensor
    features: torch.Tensor | None
    counts: torch.Tensor
    lone: int = 0

    def take(self, rows: torch.Tensor) -> Prompts:
        """Some of the prompts, with no more columns than they need."""
        columns = int(self.lengths[rows].max())
        features = None
        if self.features is not None:
            features = self.features[rows, : int(self.counts[rows].max())]
        tokens, counts = self.tokens[rows, -columns:], self.counts[rows]
        return replace(self, tokens=tokens, lengths=self.lengths[rows], features=features, counts=counts)

    def to(self, device: str) -> Prompts:
        """The same on a device."""
        features = None if self.features is None else self.features.to(device)
        tokens, lengths, counts = (part.to(device) for part in (self.tokens, self.lengths, self.counts))
        return replace(self, tokens=tokens, lengths=lengths, features=features, counts=counts)


def encode_prompts(texts: Sequence[str], config: ModelConfig) -> Prompts:
    """All prompts at once."""
    hybrid = config.representation == "hybrid"
    about_units = config.alphabet == "units"
    tokens = [(units_prompt_tokens if about_units else prompt_tokens)(text, hybrid=hybrid) for text in texts]
    numbers = [(quantities if about_units else find_integers)(text) if hybrid else [] for text in texts]
    width = max(map(len, tokens))
    counts = torch.tensor([len(row) for row in numbers])
    features = None
    if hybrid:
        flat = number_features([value for row in numbers for value in row], config.number_features)
        features = torch.zeros(len(texts), int(counts.max()), flat.shape[-1])
        features[torch.arange(features.shape[1]) < counts[:, None]] = flat.float()
    return Prompts(
        torch.tensor([[PAD] * (width - len(row)) + row for row in tokens]),
        torch.tensor([len(row) for row in tokens]),
        features,
        counts,
    )


@final
@dataclass(frozen=True, slots=True)
class Targets:
    """Answers as tensors: tokens ``[N, A]``, padded on the right, or a number head's classes ``[N, 1 + D]``."""

    tokens: torch.Tensor
    lengths: torch.Tensor

    def take(self, rows: torch.Tensor) -> Targets:
        """Some of the answers, with no more columns than they need."""
        lengths = self.lengths[rows]
        return Targets(self.tokens[rows, : int(lengths.max())], lengths)

    def to(self, device: str) -> Targets:
        """The same on a device."""
        return Targets(self.tokens.to(device), self.lengths.to(device))


def encode_targets(answers: Sequence[str], config: ModelConfig) -> Targets:
    """All answers at once."""
    if config.readout == "number_head":
        rows = [digit_classes(answer, config.answer_digits) for answer in answers]
    else:
        rows = [answer_tokens(answer, reverse=config.answer_order == "reversed") for answer in answers]
    width = max(map(len, rows))
    return Targets(
        torch.tensor([row + [PAD] * (width - len(row)) for row in rows]), torch.tensor([len(row) for row in rows])
    )


def operand_values(rows: Sequence[Mapping[str, Any]]) -> list[int] | list[Quantity]:
    """Every operand of a split (of questions about units, every quantity), for the statistics of features."""
    if rows and is_about_units(rows[0]):
        return quantity_values(rows)
    return [span["value"] for row in rows for span in row["spans"]]
