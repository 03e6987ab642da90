"""The three forms of the state space are one function, and so are their gradients."""

from __future__ import annotations

import pytest
import torch

from quadrat_studies.symmetry import state_space

NAMES = ("x", "dt", "a", "b", "c")


def inputs(*, length, sequences=3, state=5, channels=4, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    made = {
        "x": draw(sequences, length, channels),
        "dt": draw(sequences, length).exp(),
        "a": -draw(sequences, length).exp(),
        "b": draw(sequences, length, state),
        "c": draw(sequences, length, state),
    }
    return {name: tensor.requires_grad_() for name, tensor in made.items()}


def outputs_and_gradients(form, given):
    x, rest = given["x"], {name: given[name] for name in NAMES[1:]}
    y = form(x, **rest)
    weights = torch.sin(torch.arange(y.numel(), dtype=torch.float64)).view_as(y)
    return [y, *torch.autograd.grad((y * weights).sum(), list(given.values()))]


def by_hand(given):
    """The recurrence once more, number by number, sharing no line with what it checks."""
    x, dt, a, b, c = (given[name].detach() for name in NAMES)
    y = torch.zeros_like(x)
    for n in range(x.shape[0]):
        for d in range(x.shape[2]):
            h = [0.0] * b.shape[2]
            for t in range(x.shape[1]):
                for s in range(len(h)):
                    h[s] = float(a[n, t].exp()) * h[s] + float(dt[n, t] * b[n, t, s] * x[n, t, d])
                y[n, t, d] = sum(float(c[n, t, s]) * h[s] for s in range(len(h)))
    return y


def test_the_reference_is_the_recurrence():
    given = inputs(length=6, sequences=2, state=3, channels=2)
    found = state_space.sequential(given["x"], **{name: given[name] for name in NAMES[1:]})
    assert torch.allclose(found, by_hand(given), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("length", "chunk"), [(1, 4), (4, 4), (7, 4), (8, 4), (9, 64), (30, 7), (64, 64), (65, 64), (130, 64)]
)
def test_forms_agree_in_outputs_and_gradients(length, chunk):
    given = inputs(length=length)
    reference = outputs_and_gradients(state_space.sequential, given)

    def chunked(x, **rest):
        return state_space.chunked(x, **rest, chunk=chunk)

    for form in (state_space.quadratic, chunked, state_space.scan):
        for wanted, found in zip(reference, outputs_and_gradients(form, given), strict=True):
            assert (wanted - found).abs().max() < 1e-10


@pytest.mark.parametrize("form", [state_space.quadratic, lambda x, **rest: state_space.chunked(x, **rest, chunk=3)])
def test_gradients_agree_with_finite_differences(form):
    given = inputs(length=7, sequences=2, state=3, channels=2)
    assert torch.autograd.gradcheck(lambda x, dt, a, b, c: form(x, dt=dt, a=a, b=b, c=c), tuple(given.values()))


@pytest.mark.parametrize("reads", [1, 3, 11])
def test_reading_the_last_positions_gives_the_last_positions(reads):
    given = inputs(length=11)
    x, rest = given["x"], {name: given[name] for name in NAMES[1:]}
    whole = state_space.sequential(x, **rest)
    few = {**rest, "c": rest["c"][:, -reads:]}
    for form in (state_space.quadratic, state_space.sequential):
        assert (form(x, **few) - whole[:, -reads:]).abs().max() < 1e-12


def test_scores_are_what_multiplies_the_inputs():
    given = inputs(length=9)
    scores = state_space.scores(given["a"], b=given["b"], c=given["c"])
    assert (scores.triu(1) == 0).all()
    own = (given["b"] * given["c"]).sum(-1)
    assert torch.allclose(scores.diagonal(dim1=1, dim2=2), own)
    y = scores @ (given["dt"][..., None] * given["x"])
    assert torch.allclose(y, state_space.sequential(given["x"], **{name: given[name] for name in NAMES[1:]}))


def test_strong_decay_neither_overflows_nor_poisons_gradients():
    given = {name: tensor.detach().float() for name, tensor in inputs(length=200).items()}
    given["a"] = -torch.full_like(given["a"], 60.0)
    given = {name: tensor.requires_grad_() for name, tensor in given.items()}
    for form in (state_space.quadratic, state_space.chunked):
        y = form(given["x"], **{name: given[name] for name in NAMES[1:]})
        gradients = torch.autograd.grad(y.sum(), list(given.values()))
        assert all(torch.isfinite(tensor).all() for tensor in (y, *gradients))
        only_now = (given["b"] * given["c"]).sum(-1)[..., None] * given["dt"][..., None] * given["x"]
        assert torch.allclose(y, only_now, atol=1e-5)
