"""A member of a pack does what it would do alone: same order, same weights, same numbers, to the last bit."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from quadrat import Artifact, Checkpoint, Context, Metrics, Note, UsageError
from quadrat.tensor import checkpoint
from quadrat_studies.symmetry.config import Config, ModelType
from quadrat_studies.symmetry.experiment import build_data, pack_key, train, train_pack
from quadrat_studies.symmetry.training import Pack

TYPES = get_args(ModelType)
SMALL = {"epochs": 5, "steps_per_epoch": 4, "batch_size": 6, "eval_every": 2, "eval_rows": 45, "final_eval_rows": 60}
MEMBERS = ({"gamma": 0.5, "learning_rate": 1e-3}, {"gamma": 1.0, "learning_rate": 3e-3}, {"gamma": 0.7}, {"gamma": 1.0})
SEEDS = (42, 123, 456, 7)


def config(**values):
    data = {"train_rows": 400, "test_rows": 30, **values.pop("data", {})}
    return Config.model_validate({**SMALL, "data": data, **values})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Contexts over one data folder for each task."""
    folders = {}

    def context(about, seed, state=None):
        key = about.data.model_dump_json()
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp("data")
            build_data(about, folders[key])
        return Context(seed=seed, device="cpu", data=folders[key], scratch=folders[key], state=state)

    torch.set_num_threads(1)
    return context


def pack_of(world, abouts, seeds=SEEDS, states=None):
    states = states or [None] * len(abouts)
    return abouts, [world(a, seed, state) for a, seed, state in zip(abouts, seeds, states, strict=False)]


def columns(rows, members):
    """What each member yielded."""
    found = [[] for _ in range(members)]
    for row in rows:
        assert len(row) == members
        for place, event in enumerate(row):
            if event is not None:
                found[place].append(event)
    return found


def measured(events):
    return [(e.step, repr(sorted(e.values.items()))) for e in events if isinstance(e, Metrics)]


def frozen(events):
    """Events with checkpoints called at once, as the instrument does."""
    for event in events:
        yield (event, event.state()) if isinstance(event, Checkpoint) else (event, None)


def same_tree(a, b):
    if isinstance(a, dict):
        assert list(a) == list(b)
        return all(same_tree(a[key], b[key]) for key in a)
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("model_type", TYPES)
def test_losses_and_weights_equal_those_of_solo_runs(world, model_type):
    abouts = [config(model_type=model_type, **own) for own in MEMBERS]
    together = Pack(*pack_of(world, abouts))
    alone = [Pack(*pack_of(world, [about], [seed])) for about, seed in zip(abouts, SEEDS, strict=True)]
    for step in range(20):
        together.update()
        for place, solo in enumerate(alone):
            assert torch.equal(together.order.take(step)[place], solo.order.take(step)[0])
            solo.update()
            assert together.loss_sums[place] == solo.loss_sums[0]
            assert together.norms[place] == solo.norms[0]
    for place, solo in enumerate(alone):
        assert same_tree(together.state(place), solo.state(0))


@pytest.mark.parametrize("size", [1, 5, 18])
def test_what_a_member_yields_does_not_depend_on_the_size_of_the_pack(world, size):
    about = config(gamma=0.8)
    wanted = list(frozen(train(about, world(about, 42))))
    others = [config(gamma=0.5 + 0.02 * r) for r in range(size - 1)]
    abouts, contexts = pack_of(world, [about, *others], [42, *range(1, size)])
    first = [
        (row[0], row[0].state() if isinstance(row[0], Checkpoint) else None) for row in train_pack(abouts, contexts)
    ]
    assert len(first) == len(wanted)
    for (event, state), (solo_event, solo_state) in zip(first, wanted, strict=True):
        assert type(event) is type(solo_event)
        if isinstance(event, Metrics | Note):
            assert repr(event) == repr(solo_event)
        elif isinstance(event, Checkpoint):
            assert (event.step, event.epoch) == (solo_event.step, solo_event.epoch)
            assert same_tree(state, solo_state)
        elif not callable(event.content):
            assert event == solo_event


@pytest.mark.parametrize("task", ["fully_symmetric", "inverse"])
def test_other_tasks_pack_too(world, task):
    abouts = [config(gamma=gamma, data={"task": task}) for gamma in (0.5, 1.0)]
    found = columns(train_pack(*pack_of(world, abouts)), 2)
    for about, seed, events in zip(abouts, SEEDS, found, strict=False):
        assert measured(events) == measured(train(about, world(about, seed)))


def test_a_plain_loop_trains_everyone_to_the_end(world):
    abouts = [config(**own) for own in MEMBERS[:2]]
    for events in columns(train_pack(*pack_of(world, abouts)), 2):
        assert [e.name for e in events if isinstance(e, Artifact)] == ["tables/pairs.jsonl", "model.safetensors"]
        assert max(e.step for e in events if isinstance(e, Checkpoint)) == 20


def test_a_member_told_to_stop_stops_and_the_others_do_not_notice(world):
    abouts = [config(**own) for own in MEMBERS]
    undisturbed = [measured(events) for events in columns(train_pack(*pack_of(world, abouts)), 4)]
    rows = train_pack(*pack_of(world, abouts))
    found = [[] for _ in abouts]
    row, told = next(rows), None
    try:
        while True:
            for place, event in enumerate(row):
                if event is not None:
                    found[place].append(event)
            step = max((e.step for e in row if isinstance(e, Checkpoint)), default=0)
            told = frozenset({1} if step == 7 else {1, 3} if step == 13 else ())
            row = rows.send(told)
    except StopIteration:
        pass
    steps = [[e.step for e in events if isinstance(e, Checkpoint)] for events in found]
    assert [max(s) for s in steps] == [20, 7, 20, 13]
    assert [measured(events) for events in (found[0], found[2])] == [undisturbed[0], undisturbed[2]]
    assert measured(found[1]) == undisturbed[1][: len(measured(found[1]))]
    assert not any(isinstance(e, Artifact) for e in found[1] + found[3])


def test_weights_of_a_stopped_member_stay_as_they_are(world):
    pack = Pack(*pack_of(world, [config(**own) for own in MEMBERS[:2]]))
    for _ in range(3):
        pack.update()
    before = pack.state(1)
    pack.stopped.add(1)
    for _ in range(3):
        pack.update()
    after = pack.state(1)
    assert after.pop("step") == before.pop("step") + 3
    assert same_tree(before, after)


def test_the_generator_ends_when_all_are_stopped(world):
    rows = train_pack(*pack_of(world, [config(), config(gamma=0.5)]))
    next(rows)
    with pytest.raises(StopIteration):
        rows.send(frozenset({0, 1}))


def test_a_member_goes_on_alone_from_a_checkpoint_made_in_a_pack(world, tmp_path):
    abouts = [config(**own) for own in MEMBERS]
    wanted = [measured(events) for events in columns(train_pack(*pack_of(world, abouts)), 4)]
    before = []
    for row in train_pack(*pack_of(world, abouts)):
        if isinstance(row[1], Metrics):
            before.append(row[1])
        if isinstance(row[1], Checkpoint) and row[1].step == 10:
            checkpoint.save(tmp_path, row[1].state())
            break
    after = list(train(abouts[1], world(abouts[1], SEEDS[1], checkpoint.load(tmp_path))))
    assert measured(before) + measured(after) == wanted[1]


def test_members_that_were_cut_at_different_steps_go_on_together(world):
    abouts = [config(**own) for own in MEMBERS[:3]]
    wanted = [measured(events) for events in columns(train_pack(*pack_of(world, abouts)), 3)]
    states, before = [None, None, None], [[], [], []]
    # The second was cut in the middle of an epoch, the third at the end of one; the first never began.
    for place, cut in ((1, 6), (2, 12)):
        for event in train(abouts[place], world(abouts[place], SEEDS[place])):
            if isinstance(event, Metrics):
                before[place].append(event)
            if isinstance(event, Checkpoint) and event.step == cut:
                states[place] = event.state()
                break
    after = columns(train_pack(*pack_of(world, abouts, states=states)), 3)
    for place in range(3):
        assert measured(before[place]) + measured(after[place]) == wanted[place]
    assert min(e.step for e in after[2] if isinstance(e, Checkpoint)) == 13


def test_a_run_cut_after_its_last_step_still_gets_its_final_row(world):
    about = config()
    events = list(frozen(train(about, world(about, 1))))
    for event, state in events:
        if isinstance(event, Checkpoint) and event.step == about.total_steps:
            last = state
    again = list(train(about, world(about, 1, last)))
    final = [event for event, _ in events if isinstance(event, Metrics)][-1]
    assert measured(again) == measured([final])


def test_nan_in_one_member_never_reaches_another(world):
    abouts = [config(**own) for own in MEMBERS]
    wanted = [measured(events) for events in columns(train_pack(*pack_of(world, abouts)), 4)]
    state = next(
        e for e in train(abouts[1], world(abouts[1], 123)) if isinstance(e, Checkpoint) and e.step == 1
    ).state()
    state["step"] = 0
    state["optimiser"]["updates"] = 0
    state["model"]["blocks.0.out"][3, 4] = math.nan
    found = columns(train_pack(*pack_of(world, abouts, states=[None, state, None, None])), 4)
    poisoned = [e for e in found[1] if isinstance(e, Metrics) and "train/loss" in e.values]
    assert len(poisoned) == 5
    assert all(math.isnan(e.values["train/loss"]) for e in poisoned)
    for place in (0, 2, 3):
        assert measured(found[place]) == wanted[place]


def test_training_does_not_touch_the_global_random_state(world):
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    about = config()
    list(train(about, world(about, 1)))
    assert torch.equal(torch.rand(4), wanted)


# What may be packed


def test_pack_key_lets_seed_gamma_and_rate_differ_and_nothing_else():
    key = pack_key(config())
    assert key == pack_key(config(gamma=0.5, learning_rate=1e-4, gradient_clip=5.0))
    for other in (
        {"n_layers": 3},
        {"batch_size": 7},
        {"model_type": "transformer"},
        {"data": {"seed": 1}},
        {"epochs": 6},
    ):
        assert pack_key(config(**other)) != key


def test_runs_that_do_not_fit_are_refused(world):
    with pytest.raises(UsageError, match="cannot be packed"):
        next(train_pack(*pack_of(world, [config(), config(n_layers=3)])))
    with pytest.raises(UsageError, match="a context for each config"):
        next(train_pack([config()], []))


def test_a_run_without_data_says_so():
    context = Context(seed=0, device="cpu", data=None, scratch=None)
    with pytest.raises(UsageError, match="needs its data folder"):
        next(train(config(), context))
