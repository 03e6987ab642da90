"""One small decoder for every arm; read it from top to bottom.

Shapes: B samples, P prompt columns ("=" in the last), A answer tokens, T = P + A - 1 columns in all, h width,
H heads, S numbers in a prompt, F number features, D answer digits, V symbols of the alphabet.

    token_only   characters of the prompt -> embedding [B, P, h]
    hybrid       the same, but a number is one column: its features [F] -> projector -> [h]
    digits       the answer is read one character at a time, columns "=" .. last answer token -> [B, A, V]
    number_head  sign and D digits are read at once from the column "=" -> [B, 2] and [B, D, 10]

Positions count from "=": answers 0, 1, 2, .. from the front of the table, prompts -1, -2, .. from its end. So
the units digit of the last operand and the first digit of the answer stand where they always stand, however
long the numbers are. Only the columns whose output is read go through the last layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import nn
from torch.nn import functional as F

from quadrat import UsageError
from quadrat_studies.fluxem.config import ModelConfig
from quadrat_studies.fluxem.tokens import ALPHABET, NUM, PAD, Prompts, Targets, number_features

FEATURES = {"linear": 1, "log": 4}
EMBEDDING_SCALE = 0.1
DIGITS, SIGNS = 10, 2

Cache = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values ``[B, H, T, h / H]`` of each layer, for generating one token after the other."""


@final
class Standardise(nn.Module):
    """Each feature to mean 0 and variance 1 on the training operands; a constant one becomes 0, not noise."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def fit(self, raw: torch.Tensor) -> None:
        """Take mean and scale from ``raw`` ``[operands, F]``."""
        deviation = raw.std(0, correction=0)
        self.mean.copy_(raw.mean(0))
        self.scale.copy_(torch.where(deviation > 0, deviation, 1.0))

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """``[..., F]`` -> ``[..., F]``."""
        return (raw - self.mean) / self.scale


@final
class Block(nn.Module):
    """Attention and a feed-forward layer, each on a normalised copy of the stream that it adds to."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        h = config.hidden_dim
        self.heads, self.dropout = config.num_heads, config.dropout
        self.norm_1, self.norm_2 = nn.LayerNorm(h), nn.LayerNorm(h)
        self.query, self.key_value, self.out = nn.Linear(h, h), nn.Linear(h, 2 * h), nn.Linear(h, h)
        self.up, self.down = nn.Linear(h, 4 * h), nn.Linear(4 * h, h)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, *, reads: int, cache: Cache | None = None, layer: int = 0
    ) -> torch.Tensor:
        """``[B, T, h]`` -> ``[B, reads, h]``: every column is seen, the last ``reads`` go on."""
        seen = self.norm_1(x)
        x = x[:, -reads:]
        query = self._split(self.query(seen[:, -reads:]))
        key, value = (self._split(part) for part in self.key_value(seen).chunk(2, dim=-1))
        if cache is not None:
            if len(cache) > layer:
                key, value = torch.cat([cache[layer][0], key], 2), torch.cat([cache[layer][1], value], 2)
            cache[layer : layer + 1] = [(key, value)]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, :, -reads:])
        x = x + self._drop(self.out(mixed.transpose(1, 2).flatten(2)))
        return x + self._drop(self.down(F.relu(self.up(self.norm_2(x)), inplace=True)))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, T, h] -> [B, H, T, h / H]

    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, self.dropout, self.training)


@final
class Projector(nn.Module):
    """From a number's features ``[..., F]`` to a vector of the stream ``[..., h]``.

    A digit is a saw-tooth of the value, so the hidden units bend at points spread over two deviations of the
    training range from the start.
    """

    def __init__(self, features: int, h: int) -> None:
        super().__init__()
        self.bend, self.out = nn.Linear(features, h // 2), nn.Linear(h // 2, h)
        nn.init.normal_(self.bend.weight)
        nn.init.uniform_(self.bend.bias, -2.0, 2.0)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """``[..., F]`` -> ``[..., h]``."""
        return self.out(F.gelu(self.bend(features)))


@final
class NumberHead(nn.Module):
    """Sign and every digit at once, ``[..., h]`` -> ``[..., 2 + 10 D]``. Each digit reads the stream through a gate of
    its own and ten directions it shares with the others; a full table would cost 10 D h parameters."""

    def __init__(self, h: int, digits: int) -> None:
        super().__init__()
        self.sign, self.digit = nn.Linear(h, SIGNS), nn.Linear(h, DIGITS)
        self.gates = nn.Parameter(torch.randn(digits, h))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits: sign, then ten for the units, ten for the tens, .."""
        return torch.cat([self.sign(x), self.digit(x[..., None, :] * self.gates).flatten(-2)], dim=-1)


@final
class Decoder(nn.Module):
    """Prompt in, logits of the answer out. All arms are this module, built from their ``ModelConfig``."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        h = config.hidden_dim
        self.config = config
        self.embedding = nn.Embedding(len(ALPHABET), h)
        self.position = nn.Embedding(config.max_seq_len, h)
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_SCALE)
        nn.init.normal_(self.position.weight, std=EMBEDDING_SCALE)
        if config.representation == "hybrid":
            features = sum(FEATURES[kind] for kind in config.number_features)
            self.standardise = Standardise(features)
            self.projector = Projector(features, h)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(h)
        digits = config.readout == "digits"
        self.head = nn.Linear(h, len(ALPHABET)) if digits else NumberHead(h, config.answer_digits)

    def forward(self, prompts: Prompts, answer: torch.Tensor | None = None) -> torch.Tensor:
        """Logits after "=" and after each token of ``answer`` ``[B, A - 1]``; of a number head, ``[B, 2 + 10 D]``."""
        x = self.embed(prompts)
        if answer is not None:
            x = torch.cat([x, self.embedding(answer)], dim=1)
        columns = prompts.tokens.shape[1]
        x = x + self.position(self.rows(-columns + 1, x.shape[1] - columns + 1))
        logits = self.run(x, visible(prompts.tokens, x.shape[1]), reads=x.shape[1] - columns + 1)
        return logits[:, 0] if self.config.readout == "number_head" else logits

    def embed(self, prompts: Prompts) -> torch.Tensor:
        """Vectors of the prompt, ``[B, P, h]``, positions not yet added."""
        x = self.embedding(prompts.tokens)
        if prompts.features is None:
            return x
        held = torch.arange(prompts.features.shape[1], device=x.device) < prompts.counts[:, None]  # [B, S]
        vectors = self.projector(self.standardise(prompts.features[held]))  # [numbers of all prompts, h]
        places = (prompts.tokens.flatten() == NUM).nonzero().squeeze(1)  # in the same order: row by row
        return x.flatten(0, 1).index_copy(0, places, vectors.to(x.dtype)).view_as(x)

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Rows of the position table for columns ``start .. stop`` counted from "="."""
        if stop - start > self.config.max_seq_len:
            raise UsageError(
                f"a prompt with its answer takes {stop - start} columns, the position table has "
                f"{self.config.max_seq_len}.",
                where="model.max_seq_len",
                remedy=f"set model.max_seq_len to {stop - start} or more.",
            )
        return torch.arange(start, stop, device=self.position.weight.device) % self.config.max_seq_len

    def run(self, x: torch.Tensor, mask: torch.Tensor, *, reads: int, cache: Cache | None = None) -> torch.Tensor:
        """The blocks and the head: ``[B, T, h]`` -> ``[B, reads, outputs]``."""
        x = F.dropout(x, self.config.dropout, self.training)
        last = len(self.blocks) - 1
        for layer, block in enumerate(self.blocks):
            x = block(x, mask, reads=reads if layer == last else x.shape[1], cache=cache, layer=layer)
        return self.head(self.norm(x))

    @property
    def number_path(self) -> list[nn.Parameter]:
        """The parameters that only numbers pass through; none for characters."""
        return list(self.projector.parameters()) if self.config.representation == "hybrid" else []


def visible(prompt: torch.Tensor, columns: int) -> torch.Tensor:
    """Which column sees which, ``[B, 1, T, T]``: itself, and earlier ones that are not padding."""
    causal = torch.ones(columns, columns, dtype=torch.bool, device=prompt.device).tril()
    held = F.pad(prompt != PAD, (0, columns - prompt.shape[1]), value=True)
    itself = torch.eye(columns, dtype=torch.bool, device=prompt.device)
    return ((causal & held[:, None, :]) | itself)[:, None]


def loss(model: Decoder, prompts: Prompts, targets: Targets) -> torch.Tensor:
    """Mean cross-entropy over the answer's tokens (or over sign and digits); the prompt is not predicted."""
    if model.config.readout == "digits":
        logits = model(prompts, targets.tokens[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.tokens.flatten(), ignore_index=PAD)
    logits = model(prompts).float()
    sign = F.cross_entropy(logits[:, :SIGNS], targets.tokens[:, 0])
    digits = F.cross_entropy(
        logits[:, SIGNS:].unflatten(1, (-1, DIGITS)).flatten(0, 1), targets.tokens[:, 1:].flatten()
    )
    return (sign + model.config.answer_digits * digits) / (1 + model.config.answer_digits)


def build(config: ModelConfig, *, seed: int, operands: list[int]) -> Decoder:
    """A fresh model: weights from ``seed`` alone (the global random state stays as it is), features scaled by
    the training ``operands``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Decoder(config)
    if config.representation == "hybrid":
        model.standardise.fit(number_features(operands, config.number_features))
    return model


def restore(state: Mapping[str, Any]) -> Decoder:
    """The model of a checkpoint's ``{"model_config", "model"}``."""
    with torch.random.fork_rng(devices=[]):
        model = Decoder(ModelConfig.model_validate(state["model_config"]))
    model.load_state_dict(state["model"])
    return model
