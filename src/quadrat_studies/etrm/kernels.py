"""What lies between the matrix products of a block, as loops that numba compiles: attention, gates and norms.

A pass over memory costs as much as the arithmetic at these sizes, so each loop reads its arrays once and writes them
once. Attention keeps no matrix of probabilities and computes them again on the way back, as FlashAttention does (arXiv
2205.14135), but takes all keys of a head at once, since they fit the cache.

B samples, N tokens, H heads of 16 channels, D = 16 H, P = N rounded up to lanes. Arrays are float32 and contiguous.
Compiling takes a few seconds; numba keeps the result beside this file, or where ``NUMBA_CACHE_DIR`` says.
"""

# What the compiled functions take has no names among Python's types.
# ruff: noqa: ANN001, ANN201, ANN202, PLR0917

from typing import Any

import numpy as np
from numba import njit

from quadrat_studies.etrm.lanes import (
    FAST,
    ROWS,
    WIDTH,
    add,
    exp2,
    inner,
    larger,
    largest,
    load,
    load_rows,
    outer,
    over,
    rows_of,
    spread,
    store,
    store_rows,
    times,
    total,
)

MADE_WITH = "322ed5969d4e"
"""How the SHA-256 of ``lanes.py`` begins. numba compiles anew when this file changes, and does not look into that."""
EPSILON = np.float32(1e-5)
LOG2_E = np.float32(np.log2(np.e))
MASKED = np.float32(-1e30)
"""Score of a key that is not there."""


def _compiled(function: Any) -> Any:
    options: dict[str, Any] = {"fastmath": set(FAST), "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # neither this folder nor the user's cache can be written to
        return njit(**options)(function)


def padded(length: int) -> int:
    """P."""
    return length + -length % WIDTH


def scratch(length: int) -> np.ndarray:
    """Memory for ``attend`` and ``attend_back``. What lies there beyond the last token is zero and stays so.

    In units of P: queries from 0, keys by channel from 16, values or keys from 32, all by token from here, gradients of
    what was seen from 48, values by channel from 64, gradients of keys and values from 80 and 96, two tiles of scores
    from 112 and 120, and two numbers of each query from 128 and 129.
    """
    return np.zeros(130 * padded(length), np.float32)


@njit(inline="always")
def _turn(given, at, turns, turn, result, to, step):
    """Eight pairs of channels, each turned by its angle."""
    for c in range(8):
        x, y, cos, sin = given[at + 2 * c], given[at + 2 * c + 1], turns[turn + 2 * c], turns[turn + 2 * c + 1]
        result[to + 2 * c * step] = x * cos - y * sin
        result[to + (2 * c + 1) * step] = x * sin + y * cos


@njit(inline="always")
def _turn_back(given, at, turns, turn, result, to):
    for c in range(8):
        x, y, cos, sin = given[at + 2 * c], given[at + 2 * c + 1], turns[turn + 2 * c], turns[turn + 2 * c + 1]
        result[to + 2 * c] = x * cos + y * sin
        result[to + 2 * c + 1] = y * cos - x * sin


@njit(inline="always")
def _matched(rows, work, left, right, wide):
    """``rows`` plus the products of eight vectors from ``left`` on with the columns at ``right``."""
    for c in range(16):
        rows = outer(rows, work, left + c, 16, load(work, right + c * wide))
    return rows


@njit(inline="always")
def _softened(work, row, wide):
    """Scores to exponentials, in place, the largest to 1; the largest score, and the sum of the exponentials."""
    most, parts = load(work, row), spread(np.float32(0))
    for j in range(16, wide, 16):
        most = larger(most, load(work, row + j))
    highest, log2_e = largest(most), spread(LOG2_E)
    offset = spread(-highest)
    for j in range(0, wide, 16):
        chance = exp2(times(add(load(work, row + j), offset), log2_e))
        store(work, row + j, chance)
        parts = add(parts, chance)
    return highest, total(parts)


@njit(inline="always")
def _softened_back(work, row, slopes, wide, log, mean):
    """Scores to probabilities and gradients of probabilities to those of scores, both in place."""
    log2_e, offset, aligned = spread(LOG2_E), spread(-log), spread(-mean)
    for j in range(0, wide, 16):
        chance = exp2(times(add(load(work, row + j), offset), log2_e))
        store(work, row + j, chance)
        store(work, slopes + j, times(chance, add(load(work, slopes + j), aligned)))


@_compiled
def attend(qkv, turns, bias, work, seen, logs):
    """Self-attention of every head.

    Args:
        qkv: ``[B N, 3 D]``, flat: queries, keys and values, not turned yet.
        turns: ``[2, B or 1, N, 8, 2]``, flat: cosine and sine for queries (times the scale of the scores) and for keys.
        bias: ``[B or 1, P]``, flat, added to the scores of each key; ``MASKED`` beyond the last.
        work: ``scratch(N)``.
        seen: ``[B N, D]``, flat: the result.
        logs: ``[B, H, N]``, written too: the logarithm of the sum of the exponentials of each query's scores.
    """
    samples, heads, length = logs.shape
    wide, width = work.size // 130, heads * 16
    by_channel, values, chances, shares = 16 * wide, 32 * wide, 112 * wide, 128 * wide
    sample_turns, sample_bias = length * 16 * (turns.size > 32 * length), wide * (bias.size > wide)
    for sample in range(samples):
        for head in range(heads):
            for i in range(length):
                row, turn = (sample * length + i) * 3 * width + head * 16, sample * sample_turns + i * 16
                _turn(qkv, row, turns, turn, work, i * 16, 1)
                _turn(qkv, row + width, turns, turns.size // 2 + turn, work, by_channel + i, wide)
                store(work, values + i * 16, load(qkv, row + 2 * width))
            for i in range(0, length, ROWS):
                for j in range(0, wide, 16):
                    start = rows_of(load(bias, sample * sample_bias + j))
                    store_rows(work, chances + j, wide, _matched(start, work, i * 16, by_channel + j, wide))
                held = min(ROWS, length - i)
                for r in range(held):
                    highest, whole = _softened(work, chances + r * wide, wide)
                    work[shares + r] = np.float32(1) / whole
                    logs[sample, head, i + r] = highest + np.log(whole)
                found = rows_of(spread(np.float32(0)))
                for j in range(length):
                    found = outer(found, work, chances + j, wide, load(work, values + j * 16))
                store_rows(work, chances, 16, found)
                for r in range(held):
                    place = (sample * length + i + r) * width + head * 16
                    store(seen, place, times(load(work, chances + r * 16), spread(work[shares + r])))
                    work[shares + r] = 0


@_compiled
def attend_back(qkv, turns, bias, work, seen, logs, given):
    """The gradient of queries, keys and values, in the place of ``qkv``, from that of ``seen``, ``given``.

    With p the probabilities and s the scores, ``ds = p (given v - given seen)``; p is computed again from the scores
    and ``logs``. The other arguments are as for ``attend``.
    """
    samples, heads, length = logs.shape
    wide, width = work.size // 130, heads * 16
    keys_by_channel, keys, slopes, values_by_channel = 16 * wide, 32 * wide, 48 * wide, 64 * wide
    key_slopes, value_slopes, chances, score_slopes = 80 * wide, 96 * wide, 112 * wide, 120 * wide
    log, mean = 128 * wide, 129 * wide
    sample_turns, sample_bias = length * 16 * (turns.size > 32 * length), wide * (bias.size > wide)
    nothing = spread(np.float32(0))
    for sample in range(samples):
        for head in range(heads):
            for i in range(length):
                row, turn = (sample * length + i) * 3 * width + head * 16, sample * sample_turns + i * 16
                _turn(qkv, row, turns, turn, work, i * 16, 1)
                _turn(qkv, row + width, turns, turns.size // 2 + turn, work, keys + i * 16, 1)
                work[keys_by_channel + i : keys_by_channel + 16 * wide : wide] = work[
                    keys + i * 16 : keys + i * 16 + 16
                ]
                work[values_by_channel + i : values_by_channel + 16 * wide : wide] = qkv[
                    row + 2 * width : row + 2 * width + 16
                ]
                place = (sample * length + i) * width + head * 16
                slope = load(given, place)
                store(work, slopes + i * 16, slope)
                work[log + i], work[mean + i] = logs[sample, head, i], total(times(slope, load(seen, place)))
                store(work, key_slopes + i * 16, nothing)
                store(work, value_slopes + i * 16, nothing)
            for i in range(0, length, ROWS):
                for j in range(0, wide, 16):
                    start = rows_of(load(bias, sample * sample_bias + j))
                    scores = _matched(start, work, i * 16, keys_by_channel + j, wide)
                    towards = _matched(rows_of(nothing), work, slopes + i * 16, values_by_channel + j, wide)
                    store_rows(work, chances + j, wide, scores)
                    store_rows(work, score_slopes + j, wide, towards)
                for r in range(ROWS):
                    row, back = chances + r * wide, score_slopes + r * wide
                    _softened_back(work, row, back, wide, work[log + i + r], work[mean + i + r])
                queries, arriving = load_rows(work, i * 16, 16), load_rows(work, slopes + i * 16, 16)
                found = rows_of(nothing)
                for j in range(length):
                    found = outer(found, work, score_slopes + j, wide, load(work, keys + j * 16))
                    key, value = key_slopes + j * 16, value_slopes + j * 16
                    store(work, key, inner(load(work, key), work, score_slopes + j, wide, queries))
                    store(work, value, inner(load(work, value), work, chances + j, wide, arriving))
                store_rows(work, chances, 16, found)
                for r in range(min(ROWS, length - i)):
                    store(work, (i + r) * 16, load(work, chances + r * 16))
            for i in range(length):
                row, turn = (sample * length + i) * 3 * width + head * 16, sample * sample_turns + i * 16
                _turn_back(work, i * 16, turns, turn, qkv, row)
                _turn_back(work, key_slopes + i * 16, turns, turns.size // 2 + turn, qkv, row + width)
                store(qkv, row + 2 * width, load(work, value_slopes + i * 16))


@_compiled
def gate(gates, acted):
    """SwiGLU: ``gates`` ``[rows, 2M]``, gate and up side by side, to ``acted`` ``[rows, M]``."""
    rows, inner_width = acted.shape
    flat, result = gates.reshape(-1), acted.reshape(-1)
    one, minus_log2_e = spread(np.float32(1)), spread(-LOG2_E)
    for row in range(rows):
        for at in range(2 * row * inner_width, (2 * row + 1) * inner_width, 16):
            x, up = load(flat, at), load(flat, at + inner_width)
            store(result, at - row * inner_width, over(times(x, up), add(one, exp2(times(x, minus_log2_e)))))


@_compiled
def gate_back(gates, slopes):
    """The gradient of ``gates`` in their place, from that of what they gave, ``slopes`` ``[rows, M]``.

    In the place of ``slopes`` then stands what ``gate`` gave.
    """
    rows, inner_width = slopes.shape
    flat, result = gates.reshape(-1), slopes.reshape(-1)
    one, minus_one, minus_log2_e = spread(np.float32(1)), spread(np.float32(-1)), spread(-LOG2_E)
    for row in range(rows):
        for at in range(2 * row * inner_width, (2 * row + 1) * inner_width, 16):
            x, up, slope = load(flat, at), load(flat, at + inner_width), load(result, at - row * inner_width)
            opened = over(one, add(one, exp2(times(x, minus_log2_e))))
            swished = times(x, opened)
            shut = add(one, times(minus_one, opened))
            store(flat, at, times(times(slope, up), add(opened, times(swished, shut))))
            store(flat, at + inner_width, times(slope, swished))
            store(result, at - row * inner_width, times(swished, up))


@_compiled
def normalise(values, more, scales):
    """Add ``more`` to ``values``, both ``[rows, D]``, and divide each row by its root mean square, all in place.

    ``scales`` ``[rows]`` is what the rows were multiplied with.
    """
    rows, width = values.shape
    flat, others = values.reshape(-1), more.reshape(-1)
    for row in range(rows):
        squares = spread(np.float32(0))
        for at in range(row * width, (row + 1) * width, 16):
            value = add(load(flat, at), load(others, at))
            store(flat, at, value)
            squares = add(squares, times(value, value))
        scales[row] = np.float32(1) / np.sqrt(total(squares) / np.float32(width) + EPSILON)
        scale = spread(scales[row])
        for at in range(row * width, (row + 1) * width, 16):
            store(flat, at, times(load(flat, at), scale))


@_compiled
def normalise_back(slopes, more, output, scales):
    """The gradient of what ``normalise`` was given, in the place of ``more``: ``slopes`` and ``more`` together are
    that of its ``output``, all ``[rows, D]``."""
    rows, width = more.shape
    given, result, values = slopes.reshape(-1), more.reshape(-1), output.reshape(-1)
    for row in range(rows):
        aligned = spread(np.float32(0))
        for at in range(row * width, (row + 1) * width, 16):
            slope = add(load(given, at), load(result, at))
            store(result, at, slope)
            aligned = add(aligned, times(slope, load(values, at)))
        along, scale = spread(-total(aligned) / np.float32(width)), spread(scales[row])
        for at in range(row * width, (row + 1) * width, 16):
            store(result, at, times(add(load(result, at), times(load(values, at), along)), scale))
