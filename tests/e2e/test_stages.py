"""Stages, gates, retries and overrides through the real command line."""

from __future__ import annotations

import json
import signal

import pytest

STUDY = """\
study: toy
question: Does the slope that the toy finds come near the slope it was given?
hypothesis: A fast one passes both stages, a slow one does not.
trainable: quadrat.testing.toy:train
config: {{steps: 20, noise: 0.0{config}}}
arms: {{slow: {{rate: 0.01}}, fast: {{rate: 0.9}}{arms}}}
seeds: [0, 1]
checkpoint: {{every: 5 steps, keep: [last]}}
primary: [test/gap]
workers: 2
stages:
  - {{name: overfit, gate: {{metric: test/gap, over_seeds: all, pass: "< 0.5"}}{ladder}}}
  - {{name: generalize, needs: overfit, config: {{noise: 0.1}}, gate: {{metric: test/gap, pass: "< 0.5"}}}}
queue: [fast]
"""


@pytest.fixture
def staged(lab):
    """Write a two-stage study; one arm passes its first gate and the other does not."""

    def write(*, config="", arms="", ladder=""):
        text = STUDY.format(config=config, arms=arms, ladder=ladder)
        (lab.root / "toy.yaml").write_text(text, encoding="utf-8")
        return lab

    return write


def statuses(lab):
    listing = json.loads(lab.quadrat("ls", "toy", "--json").stdout)
    return {f"{run['stage']}/{run['name']}": run["status"] for run in listing["runs"]}, listing


def lock_of(lab):
    return json.loads((lab.root / "results/toy/study.lock.json").read_text(encoding="utf-8"))


def test_one_arm_passes_the_gate_and_the_other_is_kept_out(staged):
    lab = staged()
    said = lab.quadrat("run", "toy.yaml", code=3).stderr
    assert "gate overfit [fast]: pass, 2 of 2 runs pass" in said
    assert "stage generalize [slow] is skipped: overfit: fail" in said
    assert "gate not met: overfit [slow]" in said
    found, listing = statuses(lab)
    assert found == {
        **{f"overfit/{arm}_S{seed}": "completed" for arm in ("slow", "fast") for seed in (0, 1)},
        **{f"generalize/fast_S{seed}": "completed" for seed in (0, 1)},
        **{f"generalize/slow_S{seed}": "skipped" for seed in (0, 1)},
    }
    assert not (lab.root / "results/toy/generalize/slow_S0").exists()
    assert [(line["condition"], line["mark"]) for line in listing["board"]] == [
        ("fast", "validated"),
        ("slow", "failed"),
    ]
    kept = json.loads((lab.root / "results/toy/gates.json").read_text(encoding="utf-8"))["gates"]
    by_place = {(row["stage"], row["condition"]): (row["outcome"], row["way"]) for row in kept}
    assert by_place["overfit", "slow"] == ("fail", "open")
    assert by_place["generalize", "slow"] == ("not_run", "skipped")
    assert by_place["generalize", "fast"] == ("pass", "open")


def test_a_second_call_finds_nothing_to_do_and_the_same_exit_code(staged):
    lab = staged()
    lab.quadrat("run", "toy.yaml", code=3)
    before = lock_of(lab)
    assert "nothing to do" in lab.quadrat("run", "toy.yaml", code=3).stderr
    assert lock_of(lab) == before
    assert "2 skipped" in lab.quadrat("plan", "toy.yaml").stdout


def test_an_override_needs_a_reason_and_is_kept_and_shown(staged):
    lab = staged()
    lab.quadrat("run", "toy.yaml", code=3)
    assert "written reason" in lab.quadrat("run", "toy.yaml", "--override-gate", "overfit:slow", code=2).stderr
    unknown = ("run", "toy.yaml", "--override-gate", "overfit:slwo", "--because", "x")
    assert "did you mean 'slow'" in lab.quadrat(*unknown, code=2).stderr
    assert "overrides" not in lock_of(lab)
    # The second stage runs, and misses its own gate.
    said = lab.quadrat("run", "toy.yaml", "--override-gate", "overfit:slow", "--because", "We look anyway.", code=3)
    assert "gate not met: generalize [slow]" in said.stderr
    assert "overfit [slow]." not in said.stderr
    (entry,) = lock_of(lab)["overrides"]
    assert (entry["stage"], entry["arm"], entry["because"], entry["outcome"]) == (
        "overfit",
        "slow",
        "We look anyway.",
        "fail",
    )
    assert set(statuses(lab)[0].values()) == {"completed"}
    page = lab.root / lab.quadrat("report", "toy").stdout.strip()
    assert "We look anyway." in page.read_text(encoding="utf-8")


def test_a_ladder_tries_again_and_goes_on_from_what_passed(staged):
    lab = staged(arms=", mid: {rate: 0.05}", ladder=", on_fail: [{config: {steps: 120}}, abandon]")
    said = lab.quadrat("run", "toy.yaml", code=3).stderr
    assert "stage overfit [mid] is tried again: overfit.retry1" in said
    found, listing = statuses(lab)
    assert found["generalize.overfit_retry1/mid_S0"] == "completed"
    assert found["generalize/mid_S0"] == "skipped"
    assert "generalize.overfit_retry1/slow_S0" not in found
    assert {line["condition"]: line["mark"] for line in listing["board"]} == {
        "fast": "validated",
        "slow": "failed",
        "mid": "validated",
    }
    config = (lab.root / "results/toy/generalize.overfit_retry1/mid_S0/config.yaml").read_text(encoding="utf-8")
    assert "steps: 120" in config and "noise: 0.1" in config
    tried = {(entry["stage"], entry["arm"]) for entry in lock_of(lab)["ladder"]}
    assert tried == {("overfit.retry1", "slow"), ("overfit.retry1", "mid")}
    assert lock_of(lab)["amendments"] == []
    assert "nothing to do" in lab.quadrat("run", "toy.yaml", code=3).stderr


def test_a_crashed_run_counts_against_the_gate_and_is_run_again(staged):
    lab = staged(arms=", sick: {rate: 0.8, crash_at: 3}")
    said = lab.quadrat("run", "toy.yaml", code=1).stderr
    assert "gate overfit [sick]: fail" in said
    assert "counted against it: sick_S0, sick_S1" in said
    found, listing = statuses(lab)
    assert (found["overfit/sick_S0"], found["generalize/sick_S0"]) == ("failed", "skipped")
    assert {line["condition"]: line["mark"] for line in listing["board"]}["sick"] == "retest"


def test_dropping_a_bad_seed_from_the_command_does_not_pass_the_gate(staged):
    lab = staged(arms=", odd: {rate: 0.8, noise: 3.0}")
    lab.quadrat("run", "toy.yaml", code=3)
    before = statuses(lab)[0]
    assert before["generalize/odd_S0"] == "skipped"
    lab.quadrat("run", "toy.yaml", "seeds=[1]", code=3)
    assert statuses(lab)[0] == before


def test_a_study_that_is_killed_between_stages_goes_on(staged, eventually):
    lab = staged(config=", seconds_per_step: 0.05")
    process = lab.start("run", "toy.yaml", start_new_session=True)
    gates = lab.root / "results/toy/gates.json"
    eventually(lambda: (lab.root / "results/toy/overfit/fast_S0/manifest.json").exists() and gates.exists())
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.communicate()
    assert "completed" in set(statuses(lab)[0].values())
    lab.quadrat("run", "toy.yaml", code=3)
    found, _ = statuses(lab)
    assert found["generalize/fast_S1"] == "completed"
    assert found["generalize/slow_S1"] == "skipped"


def test_queued_arms_start_first(staged):
    lab = staged()
    listing = lab.quadrat("plan", "toy.yaml").stdout.splitlines()
    jobs = [line.strip() for line in listing if line.startswith("  ")]
    assert [job.rpartition("/")[2] for job in jobs] == ["fast_S0", "fast_S1", "slow_S0", "slow_S1"]
