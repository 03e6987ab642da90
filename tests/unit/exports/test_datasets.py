"""Which data the runs of a study used."""

from __future__ import annotations

import json

import pytest

from quadrat.core.errors import UsageError
from quadrat.exports.datasets import data_sets


def test_runs_with_the_same_data_share_a_set(study):
    (data,) = data_sets(study)
    assert (data.name, data.folder) == ("small-0123456789ab", "data/small-0123456789ab")
    assert sorted(data.runs) == ["failed", "fine", "nan"]
    assert [(file.path, file.rows) for file in data.files] == [("test.jsonl", 2), ("train.jsonl", 3)]


def test_other_contents_under_one_name_are_another_set(study):
    run = next(study.runs())
    told = json.loads(run.data.read_text())
    run.data.write_text(json.dumps({**told, "sha256": "f" * 64}))
    assert sorted(data.name[:19] for data in data_sets(study)) == ["small-0123456789ab-"] * 2


@pytest.mark.parametrize("folder", ["data/../../etc", "/etc", "results/x", "data", 3])
def test_a_folder_that_leads_elsewhere_is_none(study, folder):
    for run in study.runs():
        run.data.write_text(json.dumps({**json.loads(run.data.read_text()), "folder": folder}))
    with pytest.raises(UsageError, match="nothing to describe"):
        data_sets(study)


def test_a_file_is_found_only_as_the_runs_used_it(study):
    (data,) = data_sets(study)
    file = data.files[0]
    path = data.find(study.root, file)
    assert path is not None
    path.write_bytes(path.read_bytes().replace(b"test 0", b"test 9"))
    assert data.find(study.root, file) is None
    outside = study.root.parent / "outside"
    outside.write_bytes(b"")
    assert data.find(study.root, type(file)("../../../outside", 0, None, "e3b0c442" + "0" * 56)) is None
