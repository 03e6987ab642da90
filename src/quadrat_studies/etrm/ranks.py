"""Training of one run by several processes: who has which rows, and the one place where gradients are averaged.

Everything here is the identity when ``torch.distributed`` is not in use. Every process builds the same model, walks
through its own slots of the global batch and, after one sum over all processes, takes the same step.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from quadrat import UsageError

T = TypeVar("T")


def rank() -> int:
    """The number of this process, 0 when it is alone."""
    return dist.get_rank() if _together() else 0


def world() -> int:
    """How many processes train this run."""
    return dist.get_world_size() if _together() else 1


@contextmanager
def joined(device: str) -> Generator[None]:
    """Join the group that torchrun's variables describe, unless the launcher has done so already."""
    if _together() or int(os.environ.get("WORLD_SIZE", "1")) < 2 or "MASTER_ADDR" not in os.environ:
        yield
        return
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def shard(batch: int) -> range:
    """The slots of a global batch that are this process's.

    Raises:
        UsageError: the batch cannot be dealt out evenly.
    """
    if batch % world():
        raise UsageError(
            f"a global batch of {batch} cannot be dealt out to {world()} processes.",
            where="training.global_batch_size",
            remedy="a multiple of resources.processes.",
        )
    each = batch // world()
    return range(rank() * each, (rank() + 1) * each)


def average_gradients(flat: Tensor) -> None:
    """Turn each process's gradient into that of the global batch, in place.

    Every process has divided its loss by the global batch already, so the average over rows is the sum over
    processes. One call a step, on all gradients as one vector; clipping comes after it.
    """
    if _together():
        dist.all_reduce(flat, op=dist.ReduceOp.SUM)


def sum_over_ranks(values: Tensor) -> Tensor:
    """Sums kept by each process, added up."""
    if not _together():
        return values
    total = values.clone()
    dist.all_reduce(total, op=dist.ReduceOp.SUM)
    return total


def gather_rows(rows: Tensor) -> Tensor:
    """Rows of all processes under each other, ``[world * n, ...]``; every process has the same number."""
    if not _together():
        return rows
    parts = [torch.empty_like(rows) for _ in range(world())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def gather_lists(items: list[T]) -> list[T]:
    """Lists of all processes, dealt out in turn (``items[rank::world]``), back in their first order."""
    if not _together():
        return items
    parts: list[Any] = [None] * world()
    dist.all_gather_object(parts, items)
    return [part[i] for i in range(max(map(len, parts))) for part in parts if i < len(part)]


def asked_of_all(make: Callable[[], T]) -> Callable[[], T]:
    """``make``, which talks to the other processes, as something that the first process alone may call, or all.

    To be followed by ``answer(make)`` in every process, called or not.
    """
    if not _together():
        return make

    def ask() -> T:
        _told(True)
        return make()

    return ask


def answer(make: Callable[[], object]) -> None:
    """Take part in ``make`` for as long as the first process asks for it; the others wait here until it goes on."""
    if not _together():
        return
    while _told(False):
        make()


def _told(asked: bool) -> bool:
    """What the first process says, ``asked`` of the others being of no account."""
    word = torch.tensor(int(asked), device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.broadcast(word, 0)
    return bool(word)


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()
