"""Many small models of one shape trained as one: every tensor carries a leading replica axis R.

What is here keeps replicas apart. A product multiplies each replica's rows with its own weights, a norm is taken and
clipped for each on its own, and each has its own seed, learning rate and number of updates. So a member of a
stack computes what it would compute alone, bit for bit on one CPU thread, and a NaN in one never reaches another.

Three habits of torch's CPU kernels would spoil "bit for bit" and are avoided: a product with a single output column
takes another path when the batch is 1 (``project`` adds up such a column itself); ``softplus`` and the fused AdamW
round the last few elements of a tensor, those that do not fill a vector register, differently from the rest
(``softplus`` here is made of functions that do not, and ``AdamW`` keeps small tensors in rows of whole registers).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.adamw import adamw

from quadrat.core.errors import UsageError

BETAS = (0.9, 0.999)
EPSILON = 1e-8
NORM_EPSILON = 1e-5
REGISTER = 16
"""Numbers in the widest vector register."""


# Initial values ----------------------------------------------------------------------------------------------------


def stream(seed: int, name: str) -> torch.Generator:
    """A random stream of its own for every pair of seed and name; drawing from one never shifts another."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8]) % 2**63)


def drawn(seeds: Sequence[int], name: str, *, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
    """One draw for each replica from its stream ``name``, stacked: ``[R, ...]``."""
    return torch.stack([draw(stream(seed, name)) for seed in seeds])


def normal(seeds: Sequence[int], name: str, *, shape: Sequence[int], std: Sequence[float]) -> nn.Parameter:
    """A parameter ``[R, *shape]`` from a normal distribution; replica ``r`` has the standard deviation ``std[r]``."""
    units = drawn(seeds, name, draw=lambda generator: torch.randn(*shape, generator=generator))
    return nn.Parameter(units * spread(torch.tensor(list(std)), units))


def uniform(seeds: Sequence[int], name: str, *, shape: Sequence[int], low: float, high: float) -> nn.Parameter:
    """A parameter ``[R, *shape]`` from a uniform distribution."""
    units = drawn(seeds, name, draw=lambda generator: torch.rand(*shape, generator=generator))
    return nn.Parameter(low + (high - low) * units)


def constant(replicas: int, *, shape: Sequence[int], value: float) -> nn.Parameter:
    """A parameter ``[R, *shape]``, the same everywhere."""
    return nn.Parameter(torch.full((replicas, *shape), value))


# Building blocks ---------------------------------------------------------------------------------------------------


def spread(values: Tensor, like: Tensor) -> Tensor:
    """``[R]`` or ``[R, k]`` shaped so that it broadcasts over ``like`` ``[R, ..., k]``."""
    tail = values.shape[1:]
    return values.view(values.shape[0], *[1] * (like.ndim - 1 - len(tail)), *tail)


def project(x: Tensor, weight: Tensor) -> Tensor:
    """Each replica's rows through its own matrix: ``[R, ..., i]`` and ``[R, i, o]`` to ``[R, ..., o]``."""
    if weight.shape[-1] == 1:
        return (x * spread(weight.squeeze(-1), x)).sum(-1, keepdim=True)
    return torch.bmm(x.flatten(1, -2), weight).view(*x.shape[:-1], weight.shape[-1])


def lookup(table: Tensor, ids: Tensor) -> Tensor:
    """Rows of each replica's own table: ``[R, V, d]`` and ids ``[R, ...]`` to ``[R, ..., d]``."""
    offsets = torch.arange(table.shape[0], device=ids.device) * table.shape[1]
    return F.embedding(ids + spread(offsets, ids), table.flatten(0, 1))


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """``[R, ..., d]`` to root mean square 1, times each replica's own ``weight`` ``[R, d]``."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPSILON) * spread(weight, x)


def layer_norm(x: Tensor, weight: Tensor, *, bias: Tensor) -> Tensor:
    """``[R, ..., d]`` to mean 0 and variance 1, then each replica's own ``weight`` and ``bias`` ``[R, d]``."""
    centred = x - x.mean(-1, keepdim=True)
    scale = torch.rsqrt(centred.square().mean(-1, keepdim=True) + NORM_EPSILON)
    return centred * scale * spread(weight, x) + spread(bias, x)


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))``, rounded the same way wherever an element stands."""
    return torch.log1p(torch.exp(-x.abs())) + x.clamp(min=0)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean loss of each replica, ``[R]``: logits ``[R, B, V]``, targets ``[R, B]``. Sum it before ``backward``."""
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view(targets.shape).mean(1)


# Members -----------------------------------------------------------------------------------------------------------


def check_members(configs: Sequence[Any], contexts: Sequence[Any], *, key: Callable[[Any], str], differ: str) -> None:
    """Refuse what cannot be trained together: members need one ``key``, device and data folder.

    Args:
        configs: one for each member.
        contexts: one for each member.
        key: what has to be equal, as text.
        differ: in words, what members may have of their own.

    Raises:
        UsageError: they do not fit together.
    """
    if len(configs) != len(contexts) or not configs:
        raise UsageError(f"a pack needs a context for each config, but got {len(configs)} and {len(contexts)}.")
    worlds = {(context.device, context.data) for context in contexts}
    if len({key(config) for config in configs}) > 1 or len(worlds) > 1:
        raise UsageError(
            f"these runs cannot be packed: they differ in more than {differ}.", remedy="pack runs with equal pack_key."
        )


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that an optimiser may change, by name. Frozen ones are those without ``requires_grad``."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def member(tensors: Mapping[str, Tensor], index: int) -> dict[str, Tensor]:
    """One replica's slice of each tensor, as a stack of one holds it but for the replica axis. Copies."""
    return {name: tensor[index].detach().clone() for name, tensor in tensors.items()}


def put_member(tensors: Mapping[str, Tensor], index: int, *, values: Mapping[str, Tensor]) -> None:
    """Write what ``member`` returned into place ``index``, whatever the size of either stack.

    Raises:
        KeyError: a name is missing.
        ValueError: there is a name too many.
    """
    extra = sorted(values.keys() - tensors.keys())
    if extra:
        raise ValueError(f"the stack has no tensor {extra[0]!r}")
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor[index].copy_(values[name])


# Training ----------------------------------------------------------------------------------------------------------


def gradient_norms(gradients: Iterable[Tensor]) -> Tensor:
    """Euclidean norm of all gradients of each replica together, ``[R]``."""
    norms = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    # Over the last axis: over the first, a stack of one is added up in another order.
    return torch.linalg.vector_norm(torch.stack(norms, dim=1), dim=1)


def clip(gradients: Iterable[Tensor], norms: Tensor, *, limits: Tensor) -> None:
    """Scale each replica's gradients in place so that their norm is at most its limit; a limit of inf leaves them."""
    factors = (limits / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(spread(factors, gradient))


@final
class AdamW:
    """Adam with decoupled weight decay on stacked tensors, by torch's fused kernel.

    Neighbouring replicas with the same learning rate are updated by one call; a replica that is not active is left
    as it is, moments and all. Tensors that are not handed over are frozen.
    """

    def __init__(self, parameters: Mapping[str, Tensor], *, weight_decay: float) -> None:
        self._weight_decay = weight_decay
        self._whole = {name: p for name, p in parameters.items() if p[0].numel() % REGISTER == 0}
        self._ragged = {name: p for name, p in parameters.items() if name not in self._whole}
        self._row = _Rows(self._ragged) if self._ragged else None
        self._first, first = self._moments()
        self._second, second = self._moments()
        self._moment_tensors = first, second
        self._names = list(parameters)
        self.updates = [0] * next(iter(parameters.values())).shape[0]
        """How many updates each replica has had."""

    def _moments(self) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Zeros by parameter name, and the tensors that hold them in the order of ``update``."""
        whole = {name: torch.zeros_like(p) for name, p in self._whole.items()}
        if self._row is None:
            return whole, list(whole.values())
        row = torch.zeros_like(self._row.values)
        return whole | self._row.split(row), [*whole.values(), row]

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor], rates: Sequence[float], *, active: Sequence[bool]) -> None:
        """One step along ``gradients`` (in the order of the parameters), replica ``r`` at rate ``rates[r]``."""
        named = dict(zip(self._names, gradients, strict=True))
        parameters, slopes = list(self._whole.values()), [named[name] for name in self._whole]
        if self._row is not None:
            parameters.append(self._row.gather(self._ragged))
            slopes.append(self._row.gather(named, into=torch.zeros_like(self._row.values)))
        first, second = self._moment_tensors
        for start, stop in self._spans(rates, active):
            adamw(
                _cut(parameters, start, stop),
                _cut(slopes, start, stop),
                _cut(first, start, stop),
                _cut(second, start, stop),
                [],
                _counters(len(parameters), self.updates[start], device=parameters[0].device),
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=rates[start],
                weight_decay=self._weight_decay,
                eps=EPSILON,
                maximize=False,
            )
        if self._row is not None:
            self._row.scatter(self._ragged)
        self.updates = [count + on for count, on in zip(self.updates, active, strict=True)]

    def member(self, index: int) -> dict[str, Any]:
        """What the next update of one replica depends on, but for its parameters and gradients."""
        first, second = member(self._first, index), member(self._second, index)
        return {"updates": self.updates[index], "first": first, "second": second}

    def put_member(self, index: int, state: Mapping[str, Any]) -> None:
        """Take back what ``member`` returned, whatever the size of the stack it came from."""
        put_member(self._first, index, values=state["first"])
        put_member(self._second, index, values=state["second"])
        self.updates[index] = int(state["updates"])

    def _spans(self, rates: Sequence[float], active: Sequence[bool]) -> Iterator[tuple[int, int]]:
        keys = list(zip(active, rates, self.updates, strict=True))
        for (on, _, _), group in groupby(range(len(keys)), key=keys.__getitem__):
            places = list(group)
            if on:
                yield places[0], places[-1] + 1


@final
class _Rows:
    """Small tensors of a replica one after the other in a row, filled up to whole registers."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        one = next(iter(tensors.values()))
        self._shapes = {name: tensor.shape for name, tensor in tensors.items()}
        length = sum(tensor[0].numel() for tensor in tensors.values())
        self.values = torch.zeros(one.shape[0], length + -length % REGISTER, dtype=one.dtype, device=one.device)

    def split(self, row: Tensor) -> dict[str, Tensor]:
        """Views of a row such as ``values``, by name."""
        sizes = [shape[1:].numel() for shape in self._shapes.values()]
        pieces = row[:, : sum(sizes)].split(sizes, dim=1)
        named = zip(self._shapes.items(), pieces, strict=True)
        return {name: piece.unflatten(1, shape[1:]) for (name, shape), piece in named}

    def gather(self, tensors: Mapping[str, Tensor], *, into: Tensor | None = None) -> Tensor:
        """Copy tensors into a row, ``values`` unless said otherwise."""
        row = self.values if into is None else into
        for name, piece in self.split(row).items():
            piece.copy_(tensors[name])
        return row

    def scatter(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy ``values`` back."""
        for name, piece in self.split(self.values).items():
            tensors[name].copy_(piece)


def _counters(count: int, updates: int, *, device: torch.device) -> list[Tensor]:
    # The kernel adds one to each counter before it uses it, so every tensor needs one of its own.
    return list(torch.full((count,), float(updates), device=device).unbind())


def _cut(tensors: Iterable[Tensor], start: int, stop: int) -> list[Tensor]:
    return [tensor[start:stop] for tensor in tensors]
