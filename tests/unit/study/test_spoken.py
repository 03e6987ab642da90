"""A command line as a study: the program's words stay as they are, its parameters are found."""

from __future__ import annotations

import json

import pytest

from quadrat.core.errors import UsageError
from quadrat.run import command_line
from quadrat.study.spoken import study_text


def told(words, folder):
    return json.loads(study_text(words, folder=folder))


@pytest.mark.parametrize(
    ("words", "config"),
    [
        (["--lr", "0.1", "--depth=4"], {"lr": 0.1, "depth": 4}),
        (["--weight-decay", "-0.5", "--name", "two words"], {"weight_decay": -0.5, "name": "two words"}),
        (["optim.lr=0.1", "+data=cifar", "flag=true"], {"optim.lr": 0.1, "data": "cifar", "flag": True}),
        (["--start", "007", "--flag", "True", "--empty="], {"start": "007", "flag": "True", "empty": ""}),
        (["--text", '{"a": 1}', "it's"], {"text": '{"a": 1}'}),
        (["positional", "-x", "3", "{odd}"], {}),
    ],
)
def test_the_program_gets_the_words_that_were_written(words, config, tmp_path):
    study = told(["python", "-u", "src/train.py", *words], tmp_path)
    assert study["study"] == "train"
    assert study["config"] == config
    assert command_line.fill(study["command"]["line"], study["config"]) == ["python", "-u", "src/train.py", *words]


def test_the_seed_is_the_studys_own(tmp_path):
    for words in (["--seed", "3"], ["--seed=3"], ["seed=3"]):
        study = told(["./go", *words], tmp_path)
        assert (study["study"], study["seeds"], study["config"]) == ("go", [3], {})
        assert "{seed}" in study["command"]["line"]
    assert told(["./go", "--seed", "none"], tmp_path)["seeds"] == [0]


def test_what_cannot_be_a_field_is_told_beside_the_command(tmp_path):
    (tmp_path / "conf.yaml").write_text("model: {depth: 4}\n")
    words = [
        "python",
        "-m",
        "pkg.train",
        "--amp",
        "--config",
        "conf.yaml",
        "--device",
        "cpu",
        "optim=adam",
        "optim.lr=1",
    ]
    study = told(words, tmp_path)
    assert study["command"]["params"] == {
        "amp": True,
        "config": {"file": "conf.yaml", "contents": {"model": {"depth": 4}}},
        "device": "cpu",
        "optim.lr": "1",
    }
    assert study["config"] == {"optim": "adam"}
    assert command_line.fill(study["command"]["line"], study["config"]) == words
    (tmp_path / "conf.yaml").write_text("model: {depth: 5}\n")
    assert told(words, tmp_path)["name"] != study["name"]


def test_places_are_filled_by_the_instrument(tmp_path):
    study = told(["go", "--out", "{run_dir}", "--both={root}/{seed}"], tmp_path)
    assert study["config"] == {}
    assert command_line.fields_of(study["command"]["line"]) == ("run_dir", "root", "seed")


def test_nothing_to_start_is_refused(tmp_path):
    with pytest.raises(UsageError, match="nothing stands behind"):
        study_text([], folder=tmp_path)
