"""No key is inert: each one named here changes what is computed, in the way it says."""

from __future__ import annotations

import pytest
import torch

from quadrat_studies.bilevel.config import Config
from quadrat_studies.bilevel.generate import draw
from quadrat_studies.bilevel.inputs import EpochBatches, Waves, channel_names, loader, loader_options
from quadrat_studies.bilevel.ladder import Ladder
from quadrat_studies.bilevel.model import build, roles
from quadrat_studies.bilevel.objective import Batch, Objective, SolutionCache
from quadrat_studies.bilevel.relaxation import columns_of, macro_ids, mixed_db, with_chosen
from quadrat_studies.bilevel.solver import Target, levenberg_marquardt

VOCABULARY = tuple(range(8))


@pytest.fixture(scope="module")
def samples():
    return draw(Config().data.model_copy(update={"points": 32}), "train", count=24)


@pytest.fixture(scope="module")
def scene(samples):
    """Logits and values of an untrained network for eight circuits, and their labels."""
    about = samples.take(slice(0, 8))
    generator = torch.Generator().manual_seed(0)
    columns = columns_of(about.ids, VOCABULARY)
    logits = torch.randn(*columns.shape, 9, generator=generator)
    logits += 4 * torch.nn.functional.one_hot(columns, 9)
    values = 0.3 * torch.randn(*columns.shape, 8, 2, generator=generator)
    return Batch(torch.arange(8), columns, about.x, about.ideal[0], about.w), logits, values


def outcome(scene, *, step=50, **keys):
    """Loss, its parts and gradients under some keys; always the same draw."""
    batch, logits, values = scene
    config = Config.model_validate({"phys_start": 0.0, "unroll_steps": 2, **keys})
    logits, values = logits.clone().requires_grad_(), values.clone().requires_grad_()
    torch.manual_seed(1)
    queries = torch.arange(16.0).reshape(8, 2)
    core = torch.tensor([False] * 2 + [True] * 4 + [False] * 2)
    objective = Objective(config, VOCABULARY)
    loss, parts = objective.loss(logits, values, batch, step=step, total=100, queries=queries, core=core)
    gradients = torch.autograd.grad(loss, [logits, values], allow_unused=True)
    return loss.item(), {name: part.item() for name, part in parts.items()}, gradients


UNROLL = {"inner_solver": "unroll"}
STE = {**UNROLL, "ste_phys": True}
MIX = {**UNROLL, "matrix_mix": True}


@pytest.mark.parametrize(("base", "change"), [
    ({}, {"phys_weight": 0.5}), ({}, {"phys_scale": "mse"}), ({}, {"floor_db": -40.0}), ({}, {"value_weight": 2.0}),
    ({}, {"lm_iterations": 1}), ({}, {"distil_weight": 3.0, "lm_iterations": 30}), ({}, {"inner_solver": "unroll"}),
    ({}, {"alpha_min": 0.1}), ({}, {"alpha_start": 3.0, "alpha_decay_frac": 1.0}), ({}, {"len_weight": 1.0}),
    ({}, {"inner_raw_max": 0.01, "inner_raw_min": -0.01}), ({}, {"c_reg_weight": 1.0}), ({}, {"sym_weight": 1.0}),
    ({"c_reg_weight": 1.0}, {"c_skip_penalty": 1.0}), ({"c_reg_weight": 1.0}, {"c_redundant_penalty": 50.0}),
    ({"sym_weight": 1.0}, {"sym_core_only": True}), ({}, {"phys_start": 0.9}),
    (UNROLL, {"use_unroll": False}), (UNROLL, {"unroll_steps": 4}),
    (UNROLL, {"inner_lr": 1e-2, "inner_max_step": 0.5}),
    ({**UNROLL, "inner_lr": 0.1}, {"inner_max_step": 0.4}),
    (UNROLL, {"ste_phys": True}), (UNROLL, {"matrix_mix": True}),
    (UNROLL, {"gumbel_tau": 5.0}),
    (MIX, {"mix_topk": 1}), (MIX, {"gumbel_tau_min": 0.2}),
    ({**MIX, "gumbel_tau_min": 0.2}, {"gumbel_tau_decay_frac": 1.0}),
    (STE, {"ste_topk": 1}), (STE, {"ste_phys_weight": 5.0}), (STE, {"ste_topk_anneal_frac": 0.9}),
    (UNROLL, {"unroll_create_graph": False}),
])  # fmt: skip
def test_a_key_changes_loss_or_gradient(scene, base, change):
    before, after = outcome(scene, **base), outcome(scene, **base, **change)
    same_loss = before[0] == after[0]
    pairs = zip(before[2], after[2], strict=True)
    same_gradients = all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)
    assert not (same_loss and same_gradients), change
    assert all(torch.isfinite(g).all() for g in after[2] if g is not None)


def test_straight_through_reports_the_hard_value_and_pulls_softly(scene):
    _, hard, by_hard = outcome(scene, **UNROLL)
    _, both, by_both = outcome(scene, **STE)
    assert both["phys_loss"] == pytest.approx(hard["phys_loss"], rel=1e-9)
    assert both["phys_soft"] != both["phys_loss"]
    assert not torch.equal(by_hard[0], by_both[0])
    # With ste_phys on, matrix_mix has no say.
    assert outcome(scene, **STE, matrix_mix=True)[0] == outcome(scene, **STE)[0]


def test_the_envelope_lowers_the_inner_error_and_sends_nothing_through_the_start(scene):
    _, some, _ = outcome(scene, use_unroll=False, inner_solver="unroll")
    _, solved, _ = outcome(scene, lm_iterations=20)
    assert solved["phys_loss"] < 0.7 * some["phys_loss"]
    keys = {"value_weight": 0.0, "distil_weight": 0.0}
    _, _, (by_logits, by_values) = outcome(scene, lm_iterations=20, **keys)
    assert float(by_logits.abs().max()) > 0
    assert by_values is None or float(by_values.abs().max()) == 0.0


def test_envelope_gradient_is_the_derivative_of_the_inner_optimum(scene):
    """Move a gate a little, solve again: the optimum changes as the partial derivative says."""
    batch, _, values = scene
    gates = torch.nn.functional.one_hot(batch.columns, 9).double()
    # A wanted curve that the topology cannot reach, so that the optimum has an error to speak of.
    wanted = (batch.curve * 0.97).clamp_min(-60)
    solution = levenberg_marquardt(Ladder.of(macro_ids(batch.columns, VOCABULARY), batch.x),
                                   Target(wanted, batch.w, -60.0), iterations=60, tolerance=0.0)  # fmt: skip
    at = with_chosen(values.double(), batch.columns, replaced=solution.x).requires_grad_()
    loss = (mixed_db(at, gates, batch.w, vocabulary=VOCABULARY, floor_db=-60.0) - wanted).square().mean(1)
    torch.testing.assert_close(loss.detach(), solution.error, rtol=1e-6, atol=1e-9)
    (slope,) = torch.autograd.grad(loss.sum(), [at])
    settled = solution.converged
    assert settled.double().mean() > 0.5
    bound = 1e-2 * max(1.0, float(loss.detach().max()))
    assert float(slope[settled].abs().max()) < bound, "stationary: the start cannot matter"


def test_solutions_are_kept_by_circuit_and_topology():
    cache = SolutionCache(3)
    rows, choice, x = torch.tensor([1, 2]), torch.tensor([[0, 1], [0, 1]]), torch.ones(2, 2, 2).double()
    cache.keep(rows, choice, x=x)
    started = cache.start(
        torch.tensor([2, 1, 1]), torch.tensor([[0, 1], [1, 1], [0, 1]]), x=torch.zeros(3, 2, 2).double()
    )
    assert started[:, 0, 0].tolist() == [1.0, 0.0, 1.0]
    cache.keep(torch.tensor([5, 6]), choice, x=2 * x)
    assert len(cache) == 3, "the oldest was given up"
    again = SolutionCache(3)
    again.load(cache.state())
    assert torch.equal(again.state()["keys"], cache.state()["keys"])
    none = SolutionCache(0)
    none.keep(rows, choice, x=x)
    assert len(none) == 0 and none.state() == {}


# Input ---------------------------------------------------------------------------------------------------------------


def inputs(samples, *, seed=0, **keys):
    config = Config.model_validate(keys)
    return Waves(samples, config, seed=seed).channels(torch.arange(len(samples))), channel_names(config)


def test_channels_come_in_the_seeds_order(samples):
    assert inputs(samples)[1] == ["log_f_centered", "log_f_mean", "ideal_s21"]
    assert inputs(samples, use_wave="both", no_s11=False, freq_scale="none")[1] == [
        "log_f_centered", "ideal_s21", "ideal_s11", "real_s21", "real_s11"]  # fmt: skip
    assert inputs(samples, use_wave="real", freq_mode="none", freq_scale="log_fc")[1] == ["log_fc_scale", "real_s21"]
    assert inputs(samples, use_wave="ideal_s21", no_s11=False)[1][-1] == "ideal_s21"
    assert inputs(samples)[0].dtype == torch.float32 and inputs(samples, dtype="float64")[0].dtype == torch.float64


def test_frequency_channels_are_what_they_say(samples):
    f = samples.w * samples.fc[:, None]
    for name, wanted in (("log_f", f.log10()), ("linear_fc", samples.w), ("log_fc", samples.w.log10()),
                         ("log_f_centered", f.log10() - f.log10().mean(1, keepdim=True))):  # fmt: skip
        found = inputs(samples, freq_mode=name, freq_scale="none", dtype="float64")[0][:, 0]
        torch.testing.assert_close(found, wanted)
    scale = inputs(samples, freq_mode="none", freq_scale="log_fc", dtype="float64")[0][:, 0]
    torch.testing.assert_close(scale, samples.fc.log10()[:, None].expand_as(scale))


def test_wave_norm_centres_and_scales_curves_alone(samples):
    found = inputs(samples, wave_norm=True, dtype="float64")[0]
    torch.testing.assert_close(found[:, 2].mean(1), torch.zeros(24).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(found[:, 2].std(1), torch.ones(24).double())
    plain = inputs(samples, dtype="float64")[0]
    assert torch.equal(found[:, :2], plain[:, :2])
    torch.testing.assert_close(plain[:, 2] * 20 - 40, samples.ideal[0].clamp_min(-80))


def test_mix_draws_anew_each_epoch_and_alike_for_each_seed(samples):
    config = Config.model_validate({"use_wave": "mix", "dtype": "float64"})
    waves, rows = Waves(samples, config, seed=3), torch.arange(24)
    ideal, real = inputs(samples, dtype="float64")[0], inputs(samples, use_wave="real", dtype="float64")[0]
    shares = []
    for epoch in range(20):
        found = waves.channels(rows, epoch=epoch)
        is_real = (found == real).all((1, 2))
        assert ((found == ideal).all((1, 2)) | is_real).all()
        shares.append(float(is_real.double().mean()))
    assert 0.2 < sum(shares) / 20 < 0.4
    assert torch.equal(waves.channels(rows, epoch=4), Waves(samples, config, seed=3).channels(rows, epoch=4))
    assert not torch.equal(waves.channels(rows, epoch=4), waves.channels(rows, epoch=5))


# Loader --------------------------------------------------------------------------------------------------------------


def test_loader_keys_reach_the_loader_where_they_apply():
    config = Config(num_workers=2, prefetch_factor=3, persistent_workers=False, pin_memory=True)
    assert loader_options(config, "cuda") == {
        "num_workers": 2, "pin_memory": True, "prefetch_factor": 3, "persistent_workers": False}  # fmt: skip
    assert loader_options(config, "cpu")["pin_memory"] is False
    assert loader_options(Config(), "cuda") == {"num_workers": 0, "pin_memory": True}
    assert loader_options(Config(pin_memory=False), "cuda")["pin_memory"] is False


def test_worker_processes_make_the_same_batches(samples):
    found = []
    for workers in (0, 1):
        config = Config.model_validate({"num_workers": workers, "use_wave": "mix"})
        batches = EpochBatches(24, 10, seed=1)
        source = loader(Waves(samples, config, seed=1), batches, config=config, device="cpu")
        batches.epoch, batches.skip = 2, 1
        assert len(batches) == 2
        found.append([(rows.tolist(), waves) for rows, waves in source])
    assert [len(rows) for rows, _ in found[0]] == [10, 4]
    for (rows, waves), (rows_too, waves_too) in zip(*found, strict=True):
        assert rows == rows_too and torch.equal(waves, waves_too)


# Network -------------------------------------------------------------------------------------------------------------


def network(**keys):
    config = Config.model_validate({"d_model": 16, **keys})
    return build(config, k_max=5, vocabulary=(0, 3, 4), seed=0)


def answer(net, *, fc=9.2, kind=1, **_):
    waves = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0))
    waves = waves.to(next(net.parameters()).dtype)
    torch.manual_seed(0)
    return net(waves, torch.tensor([kind, kind]), torch.tensor([fc, fc]))


def test_shapes_and_the_skip_bias():
    logits, values = answer(network(gate_skip_bias=2.5))
    assert logits.shape == (2, 5, 4) and values.shape == (2, 5, 3, 2)
    assert network(gate_skip_bias=2.5).gate.bias.tolist() == [0, 0, 0, 2.5]
    assert float((values.detach()[:, :, :2, 1]).abs().max()) == 0.0, "single parts have one slot"


def test_the_specification_token_matters_when_it_is_there():
    spec, none = network(), network(spec_mode="none")
    assert not torch.equal(answer(spec, kind=0)[0], answer(spec, kind=1)[0])
    assert not torch.equal(answer(spec, fc=8.0)[0], answer(spec, fc=9.0)[0])
    assert torch.equal(answer(none, kind=0, fc=8.0)[0], answer(none, kind=1, fc=9.0)[0])


def test_sizes_and_dropout():
    def count(net):
        return sum(p.numel() for p in net.parameters())

    assert count(network(hidden_mult=4)) == count(network(hidden_mult=2)) + 2 * 16 * (2 * 16) + 2 * 16
    assert count(network(d_model=32)) > count(network())
    wet = network(dropout=0.5)
    assert not torch.equal(answer(wet)[0], answer(network())[0])
    wet.eval()
    assert torch.equal(answer(wet)[0], answer(network().eval())[0])
    assert answer(network(dtype="float64"))[0].dtype == torch.float64


def test_roles_are_the_seeds_and_start_without_effect():
    assert roles(10, input_frac=0.2, output_frac=0.3).tolist() == [0, 0, 1, 1, 1, 1, 1, 2, 2, 2]
    assert roles(4, input_frac=0.0, output_frac=1.0).tolist() == [2, 2, 2, 2]
    with_roles = network(use_role_queries=True, role_input_frac=0.4, role_output_frac=0.2)
    assert torch.equal(with_roles.cell_queries(), with_roles.queries)
    with torch.no_grad():
        with_roles.role.weight += torch.tensor([[1.0], [2.0], [3.0]])
    assert (with_roles.cell_queries() - with_roles.queries)[:, 0].tolist() == pytest.approx([1, 1, 2, 2, 3])
