"""The loops between matrix products, against the formulas in float64."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from quadrat_studies.etrm import kernels, lanes, layers

F = np.float32
rng = np.random.default_rng(0)


def drawn(*shape):
    return rng.normal(size=shape).astype(F)


def swish(x):
    return x / (1 + np.exp(-x))


def test_a_change_of_the_lanes_is_compiled():
    assert hashlib.sha256(Path(lanes.__file__).read_bytes()).hexdigest().startswith(kernels.MADE_WITH)
    assert len(kernels.MADE_WITH) == 12


def test_norms_have_one_epsilon():
    assert F(layers.EPSILON) == kernels.EPSILON


def test_gates_and_their_gradient():
    gates, slopes = drawn(5, 64), drawn(5, 32)
    acted = np.empty((5, 32), F)
    kernels.gate(gates, acted)
    x, up = gates[:, :32].astype(float), gates[:, 32:].astype(float)
    np.testing.assert_allclose(acted, swish(x) * up, rtol=1e-5, atol=1e-6)
    opened = 1 / (1 + np.exp(-x))
    expected = np.hstack([slopes * up * (opened + x * opened * (1 - opened)), slopes * swish(x)])
    kernels.gate_back(gates, slopes)
    np.testing.assert_allclose(gates, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(slopes, acted, rtol=1e-6)


def test_gates_far_open_and_far_shut():
    gates, slopes = np.ones((1, 32), F), np.ones((1, 16), F)
    gates[0, :16] = np.repeat([-1e4, -200, 200, 1e4], 4)
    acted = np.empty((1, 16), F)
    kernels.gate(gates, acted)
    np.testing.assert_allclose(acted[0], np.repeat([0, 0, 200, 1e4], 4), atol=1e-30)
    kernels.gate_back(gates, slopes)
    np.testing.assert_allclose(gates[0, :16], np.repeat([0, 0, 1, 1], 4), atol=1e-30)
    np.testing.assert_allclose(gates[0, 16:], acted[0], atol=1e-30)


def test_norms_add_what_they_are_given_and_leave_a_mean_square_of_one():
    values, more, scales = drawn(7, 32), drawn(7, 32), np.empty(7, F)
    wide = values.astype(float) + more
    kernels.normalise(values, more, scales)
    np.testing.assert_allclose(values, wide / np.sqrt((wide**2).mean(1, keepdims=True) + 1e-5), rtol=1e-5)
    slopes, rest = drawn(7, 32), drawn(7, 32)
    given = slopes.astype(float) + rest
    kernels.normalise_back(slopes, rest, values, scales)
    expected = (given - values * (given * values).mean(1, keepdims=True)) * scales[:, None]
    np.testing.assert_allclose(rest, expected, rtol=1e-4, atol=1e-5)


def attention(length, *, masked):
    """Arguments of ``attend`` for two samples of two heads, without turns, and the scores in float64."""
    qkv = drawn(2, length, 3, 2, 16)
    turns = np.zeros((2, length, 8, 2), F)
    turns[0, :, :, 0], turns[1, :, :, 0] = 0.25, 1
    bias = np.full((2, kernels.padded(length)), kernels.MASKED)
    bias[:, :length] = np.where(rng.random((2, length)) < 0.5, -1e9, 0) if masked else 0
    bias[:, 0] = 0
    q, k, v = qkv.astype(float).transpose(2, 0, 3, 1, 4)
    scores = q @ k.transpose(0, 1, 3, 2) / 4 + bias[:, None, None, :length]
    return qkv.reshape(-1).copy(), turns.reshape(-1), bias.reshape(-1), scores, v


@pytest.mark.parametrize("length", [1, 8, 21, 40])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_a_softmax_of_scores(length, masked):
    qkv, turns, bias, scores, values = attention(length, masked=masked)
    work = kernels.scratch(length)
    seen, logs = np.empty((2, length, 2, 16), F), np.empty((2, 2, length), F)
    kernels.attend(qkv, turns, bias, work, seen.reshape(-1), logs)
    chances = np.exp(scores - scores.max(-1, keepdims=True))
    sums = chances.sum(-1, keepdims=True)
    np.testing.assert_allclose(seen, ((chances / sums) @ values).transpose(0, 2, 1, 3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(logs, scores.max(-1) + np.log(sums[..., 0]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [1, 8, 21])
def test_the_gradient_of_attention_is_the_slope_of_its_sum(length):
    qkv, turns, bias, _, _ = attention(length, masked=True)
    work, given = kernels.scratch(length), drawn(2, length, 2, 16).reshape(-1)

    def outcome(changed):
        seen, logs = np.empty(2 * length * 32, F), np.empty((2, 2, length), F)
        kernels.attend(changed, turns, bias, work, seen, logs)
        return seen, logs

    slopes, (seen, logs) = qkv.copy(), outcome(qkv)
    kernels.attend_back(slopes, turns, bias, work, seen, logs, given)
    direction, step = drawn(qkv.size), F(1e-2)
    ahead, behind = (outcome(qkv + sign * step * direction)[0] for sign in (1, -1))
    along = ((ahead - behind).astype(float) * given).sum() / (2 * step)
    scale = np.abs(slopes * direction).sum() + 1
    assert abs(along - (slopes.astype(float) * direction).sum()) < 2e-3 * scale


def test_nothing_is_left_beyond_the_last_token():
    qkv, turns, bias, _, _ = attention(21, masked=False)
    work = kernels.scratch(21)
    qkv[5] = np.nan
    seen, logs = np.empty(2 * 21 * 32, F), np.empty((2, 2, 21), F)
    kernels.attend(qkv, turns, bias, work, seen, logs)
    kernels.attend_back(qkv, turns, bias, work, seen, logs, drawn(seen.size))
    wide = kernels.padded(21)
    for place in (0, 32, 48, 80, 96):  # by token
        assert not work[place * wide : (place + 16) * wide].reshape(wide, 16)[21:].any()
    for place in (16, 64):  # by channel
        assert not work[place * wide : (place + 16) * wide].reshape(16, wide)[:, 21:].any()
    assert not work[128 * wide :].reshape(2, wide)[:, 21:].any()
