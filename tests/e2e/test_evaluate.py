"""A finished model measured again, beside its run, which stays as it was sealed."""

from __future__ import annotations

import json

import pytest


@pytest.fixture(scope="module")
def trained(tmp_path_factory, make_lab):
    """A lab with six finished toy runs."""
    lab = make_lab(tmp_path_factory.mktemp("trained"))
    lab.quadrat("run", "toy.yaml")
    return lab


def _evaluate(lab, *words, code=0):
    return json.loads(lab.quadrat("evaluate", *words, "--json", code=code).stdout)


def test_the_same_config_measures_what_the_run_measured(trained):
    told = _evaluate(trained, "toy/R0.5_S1")
    final = json.loads((trained.run_folder("R0.5_S1") / "metrics.json").read_text())["final"]
    assert told["final"] == {"test/gap": final["test/gap"], "weight": final["weight"]}
    assert (told["status"], told["step"], told["artifacts"]) == ("completed", 20, ["artifacts/tables/slope.jsonl"])


def test_overrides_change_what_is_measured_and_not_the_model(trained):
    before = {p: p.read_bytes() for p in trained.run_folder("R0.5_S1").rglob("*") if p.is_file()}
    told = _evaluate(trained, "R0.5_S1", "slope=3.0")
    weight = told["final"]["weight"]
    assert told["final"]["test/gap"] == abs(weight - 3.0)
    assert {p: p.read_bytes() for p in trained.run_folder("R0.5_S1").rglob("*") if p.is_file()} == before
    assert "nothing differs" in trained.quadrat("verify").stderr
    assert trained.quadrat("ls", "toy").stdout.startswith("6 planned = 6 completed")
    row = json.loads((trained.root / told["folder"] / "params.ndjson").read_text())
    assert row["overrides"] == ["slope=3.0"]
    assert row["evaluates"]["checkpoint"] == "checkpoints/step-00000020".rpartition("/")[2]


def test_asked_again_it_is_read_and_not_measured(trained):
    first, again = (_evaluate(trained, "R0.1_S0", "slope=2.5") for _ in range(2))
    assert (first["again"], again["again"]) == (False, True)
    assert (first["folder"], first["final"]) == (again["folder"], again["final"])


def test_a_failure_says_so_and_is_tried_anew(trained):
    said = trained.quadrat("evaluate", "R0.1_S0", "crash_at=20", code=1)
    assert "told to crash" in said.stderr
    assert _evaluate(trained, "R0.1_S0", "crash_at=20", code=1)["again"] is False


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("R0.5_S9",), "R0.5_S"),
        (("R0.5_S1", "slop=3"), "slope"),
        (("R0.5_S1", "seeds=[1,2]"), "several runs"),
        (("R0.5_S1", "steps=none"), "steps"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_paragraph(trained, words, said):
    shown = trained.quadrat("evaluate", *words, code=2).stderr
    assert said in shown
    assert "Traceback" not in shown


def test_a_run_without_a_checkpoint_has_nothing_to_measure(lab):
    lab.quadrat("run", "toy.yaml", "axes.rate=[0.5]", "seeds=[7]", "crash_at=2", code=1)
    assert "no checkpoint" in lab.quadrat("evaluate", "R0.5_S7", code=2).stderr
