"""A member of a pack does what it would do alone, whoever else is there, to the last bit."""

from __future__ import annotations

import pytest
import torch

from quadrat import Artifact, Checkpoint, Context, Metrics, Note, UsageError
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.experiment import build_data, pack_key, train_pack
from quadrat_studies.fluxem.model import Decoder

BASE = {
    "data": {"train_size": 50, "validation_size": 8, "test_size": 9},
    "model": {"hidden_dim": 32, "num_layers": 2, "num_heads": 2, "dropout": 0.2},
    "training": {"epochs": 2, "batch_size": 16, "log_every": 3, "warmup_steps": 2},
    "ladders": {"operands": 3, "cell_size": 2},
}
ARMS = {
    "char_reversed": {},
    "abacus": {"representation": "abacus"},
    "chunks": {"representation": "chunks", "readout": "chunks"},
    "xval": {"representation": "xval", "readout": "scalar"},
    "fone": {"representation": "fone", "readout": "circles"},
    "bits": {"representation": "bits", "readout": "bits"},
    "flux_both": {"representation": "hybrid", "answer_order": "plain"},
    "flux_both_head": {"representation": "hybrid", "readout": "number_head"},
    "flux_circles_head": {
        "representation": "hybrid", "number_features": ["linear", "residues"], "readout": "residues",
    },
    "residues": {"representation": "residues", "readout": "residues"},
}  # fmt: skip


def config(arm: str, **training) -> Config:
    tree = {**BASE, "model": {**BASE["model"], **ARMS[arm]}, "training": {**BASE["training"], **training}}
    return Config.model_validate(tree)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("data")
    build_data(config("char_reversed"), place)
    torch.set_num_threads(1)
    return place


def told(configs, seeds, folder, *, states=None, stop=()):
    """What each member yields; ``stop`` names places that are told to stop after the fourth row."""
    found = [[] for _ in seeds]
    contexts = [
        Context(seed=seed, device="cpu", data=folder, scratch=folder, state=state)
        for seed, state in zip(seeds, states or [None] * len(seeds), strict=True)
    ]
    rows = train_pack(configs, contexts)
    row, count = next(rows), 0
    while row is not None:
        for place, event in enumerate(row):
            if event is not None:
                found[place].append(plain(event, folder))
        count += 1
        try:
            row = rows.send(frozenset(stop) if count == 4 else None)
        except StopIteration:
            row = None
    return found


def plain(event, folder):
    """An event as something to compare; a checkpoint is called at once, as the instrument does."""
    if isinstance(event, Checkpoint):
        return "checkpoint", event.step, snapshot(event.state())
    if isinstance(event, Artifact) and callable(event.content):
        event.content(folder / "weights")
        return event.name, (folder / "weights").read_bytes()
    if isinstance(event, Artifact):
        return event.name, event.content
    return type(event).__name__, repr(event)


def snapshot(tree):
    if isinstance(tree, dict):
        return {name: snapshot(value) for name, value in tree.items()}
    return tree.clone() if isinstance(tree, torch.Tensor) else tree


def same(a, b) -> bool:
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("arm", ARMS)
def test_a_member_yields_what_it_yields_alone(arm, folder):
    configs = [config(arm), config(arm, learning_rate=3e-3), config(arm)]
    together = told(configs, (4, 0, 9), folder)
    for place in (0, 1):
        (alone,) = told([configs[place]], [(4, 0, 9)[place]], folder)
        assert same(together[place], alone)
    assert not same(together[0], together[2])


def test_nor_does_a_member_notice_where_columns_are_computed_once(folder):
    def one():
        tree = config("residues", batch_size=48).model_dump()
        return Config.model_validate({**tree, "model": {**tree["model"], "moduli": [5, 7, 8, 9, 11], "dropout": 0.0}})

    seen = []
    plain, Decoder.lone = Decoder.lone, lambda *given: seen.append(plain(*given)) or seen[-1]
    try:
        together, (alone,) = told([one()] * 3, (4, 0, 9), folder), told([one()], (0,), folder)
    finally:
        Decoder.lone = plain
    assert any(each is not None for each in seen)
    assert same(together[1], alone)


def test_a_stopped_member_is_silent_and_the_others_do_not_notice(folder):
    configs = [config("residues")] * 3
    whole = told(configs, (1, 2, 3), folder)
    cut = told(configs, (1, 2, 3), folder, stop=[1])
    assert same(cut[0], whole[0]) and same(cut[2], whole[2])
    assert len(cut[1]) < len(whole[1]) and same(cut[1], whole[1][: len(cut[1])])


def test_a_member_that_comes_from_a_checkpoint_waits_for_the_others(folder):
    configs = [config("fone")] * 2
    whole = told(configs, (1, 2), folder)
    saved = next(event for event in whole[1] if event[:2] == ("checkpoint", 5))
    resumed = told(configs, (1, 2), folder, states=[None, saved[2]])
    assert same(resumed[0], whole[0])
    assert same([event for event in resumed[1] if event[0] != "Note"], after(whole[1], 5))


def after(events, step):
    """What follows the checkpoint of ``step``."""
    place = next(i for i, event in enumerate(events) if event[:2] == ("checkpoint", step))
    return events[place + 1 :]


def test_runs_of_other_shapes_are_refused(folder):
    with pytest.raises(UsageError, match="cannot be packed"):
        told([config("fone"), config("residues")], (1, 2), folder)
    assert pack_key(config("fone")) == pack_key(config("fone", learning_rate=0.5))
    assert pack_key(config("fone")) != pack_key(config("fone", epochs=3))


def test_every_arm_says_what_it_costs(folder):
    for arm in ARMS:
        context = Context(seed=0, device="cpu", data=folder, scratch=folder)
        (note,) = next(train_pack([config(arm)], [context]))
        assert isinstance(note, Note) and note.kind == "derived" and not isinstance(note, Metrics)
        assert {"parameter_count", "columns", "embedding_and_head_parameters"} <= set(note.data)
