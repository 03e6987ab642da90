"""Items: leave-one-out, one offset for an item, an order that needs no history, and questions without a gap."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from quadrat_studies.etrm.config import TrainingConfig
from quadrat_studies.etrm.generator import generate
from quadrat_studies.etrm.grids import IGNORED, Augmentation, Pair, Task, from_tokens, to_tokens
from quadrat_studies.etrm.items import Canvas, Stream, fixed_versions, questions

SIDE = 8
TASKS = generate(6, side=5, seed=3, prefix="t")
CANVAS = Canvas(SIDE, 4)


def stream(tasks=TASKS, canvas=CANVAS, **recipe):
    demo_only = recipe.pop("demo_only", 0)
    versions = recipe.pop("versions", ())
    seed = recipe.pop("seed", 0)
    about = TrainingConfig.model_validate({"global_batch_size": 4, **recipe})
    return Stream(tasks, canvas, recipe=about, seed=seed, versions=versions, demo_only=demo_only)


def pair_of(item, slot=None):
    if slot is None:
        labels = np.where(item.labels == IGNORED, 0, item.labels)
        return from_tokens(item.inputs, SIDE).tolist(), from_tokens(labels, SIDE).tolist()
    return from_tokens(item.demo_inputs[slot], SIDE).tolist(), from_tokens(item.demo_outputs[slot], SIDE).tolist()


def written(pair):
    return pair.input.tolist(), pair.output.tolist()


def test_leave_one_out_asks_for_every_pair_and_shows_the_others():
    asked = Counter()
    for drawn in range(60):
        item = stream().item(0, drawn)
        task = TASKS[item.group]
        pairs = [written(pair) for pair in task.pairs]
        target = pair_of(item)
        shown = [pair_of(item, slot) for slot in range(item.demo_count)]
        assert target in pairs and target not in shown
        assert sorted([target, *shown]) == sorted(pairs)
        asked[item.group, pairs.index(target)] += 1
    assert len(asked) > 20, "all four pairs of six tasks, or nearly"


def test_test_only_asks_for_queries_alone():
    for drawn in range(20):
        item = stream(query="test_only").item(1, drawn)
        task = TASKS[item.group]
        assert pair_of(item) in [written(pair) for pair in task.queries]
        shown = sorted(pair_of(item, slot) for slot in range(item.demo_count))
        assert shown == sorted(written(pair) for pair in task.demos)


def test_an_epoch_holds_every_task_once_and_slots_share_it():
    first = [stream().item(position % 4, position // 4).group for position in range(12)]
    assert sorted(first[:6]) == sorted(first[6:]) == list(range(6))
    assert first[:6] != first[6:]


def test_an_item_depends_on_seed_slot_and_count_alone():
    one = stream(dihedral=True, colour=True, translation=True)
    for _ in range(5):
        one.item(2, 7)
    again = stream(dihedral=True, colour=True, translation=True).item(2, 9)
    item = one.item(2, 9)
    assert all(np.array_equal(getattr(item, n), getattr(again, n)) for n in ("inputs", "labels", "demo_inputs"))
    other = stream(dihedral=True, colour=True, translation=True, seed=1).item(2, 9)
    assert not np.array_equal(other.demo_inputs, item.demo_inputs)


def test_translation_is_one_offset_for_the_whole_item():
    places = set()
    for drawn in range(30):
        item = stream(translation=True).item(0, drawn)
        corners = []
        shown = [item.demo_inputs[k] for k in range(item.demo_count)] + [item.inputs]
        for tokens in shown:
            rows, columns = np.nonzero(tokens.reshape(SIDE, SIDE) >= 2)
            corners.append((int(rows.min()), int(columns.min())))
        assert len(set(corners)) == 1
        places.add(corners[0])
    assert len(places) > 5
    assert all(from_tokens(stream().item(0, d).inputs, SIDE).size for d in range(5)), "without, all are at the origin"


def test_one_augmentation_for_the_whole_item():
    changed = 0
    for drawn in range(20):
        plain, item = stream().item(0, drawn), stream(dihedral=True, colour=True).item(0, drawn)
        task = TASKS[item.group]
        shapes = {pair.input.shape for pair in task.pairs}
        own = [from_tokens(item.inputs, SIDE)] + [
            from_tokens(item.demo_inputs[k], SIDE) for k in range(item.demo_count)
        ]
        turned = {grid.shape for grid in own}
        assert turned <= shapes or {shape[::-1] for shape in turned} <= shapes
        changed += not np.array_equal(plain.inputs, item.inputs)
    assert changed > 10


def test_more_demonstrations_than_slots_are_sampled():
    seen = set()
    for drawn in range(40):
        item = stream(canvas=Canvas(SIDE, 2)).item(0, drawn)
        assert item.demo_count == 2 and item.demo_inputs.shape == (2, SIDE**2)
        seen.add((item.group, str([pair_of(item, k) for k in range(2)])))
    assert len(seen) > 12


def test_tasks_that_are_closed_never_show_a_query():
    closed = stream(demo_only=2)
    for slot in range(4):
        for drawn in range(12):
            item = closed.item(slot, drawn)
            if item.group >= 4:
                queries = [written(pair) for pair in TASKS[item.group].queries]
                shown = [pair_of(item, k) for k in range(item.demo_count)]
                assert pair_of(item) not in queries
                assert not any(pair in queries for pair in shown)


def test_fixed_versions_name_rows_of_a_table():
    versions = fixed_versions(TASKS, 3, seed=0)
    assert versions == fixed_versions(TASKS, 3, seed=0)
    assert all(len(set(v)) == 3 and v[0] == Augmentation() for v in versions)
    table = stream(versions=versions)
    seen = {(item := table.item(0, drawn)).puzzle // 3 == item.group for drawn in range(40)}
    assert seen == {True}
    assert len({table.item(0, drawn).puzzle for drawn in range(120)}) > 12


@pytest.mark.parametrize("puzzles", [False, True])
def test_questions_are_every_query_of_every_version(puzzles):
    two = Task("two", TASKS[0].demos, (*TASKS[0].queries, *TASKS[1].queries))
    tasks = [two, TASKS[2]]
    asked = questions(tasks, CANVAS, versions=fixed_versions(tasks, 3, seed=0), puzzles=puzzles)
    assert [(q.task, q.query) for q in asked] == [(0, 0), (0, 1)] * 3 + [(1, 0)] * 3
    assert [q.item.puzzle for q in asked] == ([0, 0, 1, 1, 2, 2, 3, 4, 5] if puzzles else [0] * 9)
    for q in asked:
        query = tasks[q.task].queries[q.query]
        assert q.version.undo(from_tokens(q.item.inputs, SIDE)).tolist() == query.input.tolist()


def test_an_unlabelled_query_asks_for_nothing():
    pair = Pair(TASKS[0].demos[0].input, None)
    item = CANVAS.item(pair, TASKS[0].demos, version=Augmentation())
    assert (item.labels == IGNORED).all()
    assert np.array_equal(item.inputs, to_tokens(pair.input, SIDE))
