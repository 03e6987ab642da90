"""Mechanism experiments on models whose answer is known, and on real ones for their shape."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from quadrat import Artifact, Checkpoint, Context, Metrics, UsageError
from quadrat_studies.symmetry.config import Config, Part
from quadrat_studies.symmetry.experiment import build_data, evaluate, train
from quadrat_studies.symmetry.mechanism import PARTS, Subject, swapped
from quadrat_studies.symmetry.model import Probe
from quadrat_studies.symmetry.probes import Recorder, blocker, cut_from, positions, substitute

SMALL = {"epochs": 1, "steps_per_epoch": 6, "batch_size": 8, "eval_rows": 15, "final_eval_rows": 15}


def config(**values):
    return Config.model_validate({**SMALL, "data": {"train_rows": 300, "test_rows": 10}, **values})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Checkpoints of short runs, by model type."""
    states = {}

    def state(**values):
        about = config(**values)
        key = about.model_dump_json()
        if key not in states:
            folder = tmp_path_factory.mktemp("data")
            build_data(about, folder)
            context = Context(seed=5, device="cpu", data=folder, scratch=folder)
            offers = [e for e in train(about, context) if isinstance(e, Checkpoint)]
            states[key] = offers[-1].state()
        return states[key]

    return state


def subject(finished, *, sequences=40, **values):
    about = config(evaluation={"sequences": sequences}, **values)
    return Subject.of(finished(**values), about)


# Masks


def test_positions_count_from_the_key():
    found = positions(torch.tensor([0, 4]), 6, first=1, last=3)
    assert found.int().tolist() == [[0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1]]


def test_a_cut_spares_the_diagonal_and_what_comes_before():
    sources = torch.tensor([[False, True, True, False]])
    expected = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0]]
    assert cut_from(sources)[0].int().tolist() == expected
    expected[2] = [0, 0, 0, 0]
    assert cut_from(sources, first_reader=torch.tensor([3]))[0].int().tolist() == expected


def test_swapped_changes_the_pair_and_nothing_else(finished):
    rows = subject(finished).sequences("pairs", (1, 2))
    twin = swapped(rows, (4, 3))
    differing = rows.tokens != twin.tokens
    assert (differing.sum(axis=1) == 2).all()
    assert (twin.tokens[np.arange(len(rows)), rows.slots + 1] == 4).all()
    assert (twin.tokens[np.arange(len(rows)), rows.slots + 2] == 3).all()


# Probes on real models


def test_blocking_nothing_and_substituting_oneself_change_nothing(finished):
    it = subject(finished)
    rows = it.sequences("blocking", (1, 2))
    tokens = torch.from_numpy(rows.tokens)[None]
    recorder = Recorder()
    plain = it.network(tokens, probe=recorder.probe)
    assert torch.equal(it.network(tokens, probe=blocker(torch.zeros(9, 9, dtype=torch.bool))), plain)
    everywhere = torch.ones(len(rows), 9, dtype=torch.bool)
    assert torch.equal(it.network(tokens, probe=substitute(recorder.parts, everywhere)), plain)
    assert [part.shape[-1] for part in recorder.parts[0]] == [64, 128, 128]
    assert len(recorder.scores) == len(recorder.streams) == 2


def test_blocking_everything_leaves_each_position_to_itself(finished):
    it = subject(finished)
    tokens = torch.from_numpy(it.sequences("blocking", (1, 2)).tokens)[None]
    seen = []
    cut = torch.ones(9, 9, dtype=torch.bool).tril(-1)
    probe = blocker(cut)
    watching = Probe(scored=lambda layer, s: (seen.append(probe.scored(layer, s)), seen[-1])[1])
    assert not torch.equal(it.network(tokens, probe=watching), it.network(tokens))
    assert (seen[0].tril(-1) == 0).all()
    assert (seen[0].diagonal(dim1=1, dim2=2) != 0).any()


def test_substituting_everything_gives_the_twin_but_for_gate_and_stream(finished):
    it = subject(finished)
    rows = it.sequences("substitution", (1, 2))
    twin = swapped(rows, (4, 3))
    recorded, seen = it.record(twin), Recorder()
    places = positions(torch.from_numpy(rows.slots), 9, first=3, last=9)
    probe = substitute(recorded.parts, places)
    watching = Probe(convolved=probe.convolved, passed=seen.probe.passed, scored=seen.probe.scored)
    it.network(torch.from_numpy(rows.tokens)[None], probe=watching)
    # From the token after the pair on, b and c are the twin's, so their scores among themselves are the twin's.
    both = places[:, :, None] & places[:, None, :]
    assert torch.allclose(seen.scores[0][both], recorded.scores[0][both], rtol=1e-5)
    assert not torch.allclose(seen.scores[0], recorded.scores[0])


def test_sequences_leave_room_after_the_pair_and_follow_the_rule(finished):
    it = subject(finished, sequences=300)
    assert it.sequences("substitution", (1, 2)).slots.max() == 5
    assert it.sequences("blocking", (1, 2), room=2).slots.max() == 4
    tested = it.sequences("pairs", (1, 2), cells="test")
    assert (tested.keys % 8 == (tested.slots + 1) % 8).all()


# Whole parts


def run(finished, part, **values):
    about = config(evaluation={"parts": [part], "sequences": 30}, **values)
    context = Context(seed=5, device="cpu", data=None, scratch=None, state=finished(**values))
    events = list(evaluate(about, context))
    tables = {e.name: e.content for e in events if isinstance(e, Artifact)}
    (numbers,) = [e for e in events if isinstance(e, Metrics)]
    return tables, numbers


@pytest.mark.parametrize("part", get_args(Part))
def test_every_part_ends_in_a_table_a_figure_and_a_number_with_its_control(finished, part):
    tables, numbers = run(finished, part)
    assert tables[f"tables/{part}.jsonl"]
    assert f"figures/{part}.json" in tables
    assert numbers.step == 6
    assert all(name.startswith(f"{part}/") for name in numbers.values)
    assert any(word in name for name in numbers.values for word in ("control", "untrained", "start"))
    assert all(np.isfinite(value) for value in numbers.values.values())
    assert set(get_args(Part)) == set(PARTS)


def test_blocking_looks_at_every_pair_and_its_shares_are_shares(finished):
    tables, numbers = run(finished, "blocking")
    table = tables["tables/blocking.jsonl"]
    assert len(table) == 16
    for row in table:
        assert row["sequences"] == 30
        assert row["match_low"] <= row["match"] <= row["match_high"] + 1e-9
    assert numbers.values["blocking/match"] == pytest.approx(np.mean([row["match"] for row in table]))


def test_substitution_leaves_the_held_out_pair_itself_out(finished):
    tables, _ = run(finished, "substitution")
    assert len(tables["tables/substitution.jsonl"]) == 15
    assert "43" not in {row["pair"] for row in tables["tables/substitution.jsonl"]}


def test_doubles_are_their_own_mirror_images(finished):
    tables, _ = run(finished, "pairs")
    assert all(row["mirror_agreement"] == 1 for row in tables["tables/pairs.jsonl"] if row["pair"][0] == row["pair"][1])


def test_equal_taps_have_cosine_1(finished):
    tables, numbers = run(finished, "kernel_cosine", model_type="mamba_ones_conv")
    assert {round(row["end"], 6) for row in tables["tables/kernel_cosine.jsonl"]} == {1.0}
    assert [row["taps"] for row in tables["tables/kernel_cosine.jsonl"]] == ["01", "02", "03", "12", "13", "23"] * 2
    assert numbers.values["kernel_cosine/by_chance"] == pytest.approx(0.0559, abs=1e-4)


def test_information_flow_of_an_even_reader_counts_positions(finished):
    tables, numbers = run(finished, "information_flow")
    for name in ("trained", "untrained", "even"):
        for source in ("after_pair", "key_and_anchors"):
            assert 0 < numbers.values[f"information_flow/{source}_{name}"] < 1
    # Three positions against one, for readers that see both evenly.
    even = [numbers.values[f"information_flow/{source}_even"] for source in ("key_and_anchors", "after_pair")]
    assert even[0] == pytest.approx(3 * even[1], rel=1e-5)
    figure = tables["figures/information_flow.json"]
    assert len(figure["scores"]) == len(figure["readout"]) == 2
    assert len(figure["readout"][0]) == len(figure["tokens"]) == 9


def test_parts_about_the_convolution_refuse_a_transformer_and_the_others_do_not(finished):
    for part in ("substitution", "kernel_cosine"):
        with pytest.raises(UsageError, match="which a transformer has not"):
            run(finished, part, model_type="transformer")
    run(finished, "blocking", model_type="transformer")


def test_evaluate_needs_a_model_and_a_task_with_pairs(finished):
    context = Context(seed=5, device="cpu", data=None, scratch=None)
    with pytest.raises(UsageError, match="needs a trained model"):
        next(evaluate(config(), context))
    with pytest.raises(UsageError, match="no pairs"):
        run(finished, "pairs", data={"task": "inverse", "train_rows": 50, "test_rows": 10})
