"""Three ways through projection, convolution and SiLU: one function."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from quadrat_studies.symmetry.convolution import Form, Kernel, convolve, merged, plain, tapped

LENGTHS_AND_READS = [(1, 1), (2, 1), (2, 2), (5, 1), (5, 3), (9, 1), (9, 9)]


def inputs(length, *, taps=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(length)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    return draw(3, 2, length, 4), Kernel(draw(3, 4, 7), draw(3, taps, 7), draw(3, 7))


def outputs_and_gradients(way, u, kernel, *, form):
    v = torch.cat(way(u, kernel, form=form), dim=-1)
    weights = torch.sin(torch.arange(v.numel(), dtype=v.dtype)).view_as(v)
    return [v, *torch.autograd.grad((v * weights).sum(), [u, *kernel])]


def torchs_own(u, kernel, *, form):
    """Grouped convolution from torch, one replica at a time."""
    made = []
    for u_r, weight, taps, bias in zip(u, *kernel, strict=True):
        x = u_r @ weight
        padded = F.pad(x.transpose(1, 2), (taps.shape[0] - 1, 0))
        c = F.conv1d(padded, taps.t()[:, None], bias, groups=taps.shape[1]).transpose(1, 2)
        v = {"none": F.silu(c), "add": F.silu(c) + x, "multiply": F.silu(c) * x}[form.branch]
        made.append(v[:, -form.reads :])
    return torch.stack(made).split(list(form.widths), dim=-1)


@pytest.mark.parametrize("branch", ["none", "add", "multiply"])
@pytest.mark.parametrize(("length", "reads"), LENGTHS_AND_READS)
def test_ways_agree_with_torchs_grouped_convolution(length, reads, branch):
    u, kernel = inputs(length)
    form = Form((3, 4), reads, branch)
    reference = outputs_and_gradients(torchs_own, u, kernel, form=form)
    for way in (plain, tapped, convolve, *([merged] if branch == "none" else [])):
        for wanted, found in zip(reference, outputs_and_gradients(way, u, kernel, form=form), strict=True):
            assert (wanted - found).abs().max() < 1e-10


@pytest.mark.parametrize("taps", [1, 2, 6])
def test_other_widths_of_the_convolution(taps):
    u, kernel = inputs(5, taps=taps)
    form = Form((7,), 5)
    reference = outputs_and_gradients(torchs_own, u, kernel, form=form)
    for way in (plain, tapped, merged):
        for wanted, found in zip(reference, outputs_and_gradients(way, u, kernel, form=form), strict=True):
            assert (wanted - found).abs().max() < 1e-10


@pytest.mark.parametrize("branch", ["none", "add", "multiply"])
@pytest.mark.parametrize("reads", [1, 5])
def test_hand_written_gradients_agree_with_finite_differences(branch, reads):
    u, kernel = inputs(5)
    form = Form((3, 4), reads, branch)
    assert torch.autograd.gradcheck(lambda *given: tapped(given[0], Kernel(*given[1:]), form=form), (u, *kernel))


def test_an_unused_part_gets_no_gradient_of_its_own():
    u, kernel = inputs(5)
    form = Form((3, 4), 5)
    for way in (plain, tapped):
        first, _ = way(u, kernel, form=form)
        gradient = torch.autograd.grad(first.sum(), kernel.weight)[0]
        assert (gradient[:, :, 3:] == 0).all()
        assert (gradient[:, :, :3] != 0).any()


def test_a_merged_convolution_has_no_branch():
    u, kernel = inputs(5)
    with pytest.raises(ValueError, match="no branch"):
        merged(u, kernel, form=Form((7,), 5, "add"))


def test_single_precision_agrees_too():
    u, kernel = inputs(9, dtype=torch.float32)
    form = Form((3, 4), 9)
    reference = outputs_and_gradients(torchs_own, u, kernel, form=form)
    for way in (tapped, merged):
        for wanted, found in zip(reference, outputs_and_gradients(way, u, kernel, form=form), strict=True):
            assert torch.allclose(wanted, found, atol=4e-6, rtol=1e-5)
