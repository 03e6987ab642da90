"""A study with something of everything: three arms, a failed run, an oracle, data, a dirty tree."""

from __future__ import annotations

import re

import pytest


def _run(arm, seed, status="completed", **more):
    return {
        "name": f"{arm}_S{seed}",
        "stage": None,
        "arm": arm,
        "seed": seed,
        "status": status,
        "folder": f"results/arithmetic_small/{arm}_S{seed}",
        "step": 2000,
        "duration_s": 61.5,
        "error": None,
        "diagnosis": None,
        "initialised_from": None,
        **more,
    }


def _metric(condition, values, *, n=3, mean=0.0, low=None, high=None, **more):
    return {
        "metric": "test_id/exact_match",
        "condition": condition,
        "n": n,
        "measured": len(values),
        "mean": mean,
        "low": low,
        "high": high,
        "method": "t interval 95 %" if low is not None else None,
        "values": values,
        "oracle": False,
        **more,
    }


def _config(arm):
    return {"model.kind": arm, "model.width": 128 if arm == "token_only" else 96}


_HEALTH = [
    {
        "run": "hybrid_S2",
        "rule": "starved",
        "level": "warn",
        "step": 400,
        "metric": "grad/norm",
        "value": 0.0123,
        "threshold": "< 0.05",
        "diagnosis": "Little gradient.",
    }
]


def _surroundings():
    return {
        "git": {
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "branch": "main",
            "dirty": True,
            "diff": "git.diff",
        },
        "machine": {
            "host": "bench-1",
            "platform": "Linux-6.1-x86_64",
            "cpu": "Example CPU",
            "cores": 2,
            "memory": 8 * 2**30,
            "python": "3.11.7",
            "torch": "2.13.0",
            "cuda": None,
            "accelerator": None,
            "threads": 1,
            "device": "cpu",
        },
        "data": [
            {
                "folder": "data/fluxem-0123456789ab",
                "key": "0123456789ab" + "0" * 52,
                "files": [{"path": "train.ndjson", "bytes": 81234, "rows": 1000, "sha256": "ab" * 32}],
            }
        ],
    }


@pytest.fixture
def facts():
    seeds = [0, 1, 2]
    broken = _run(
        "hybrid", 2, "failed", step=410, error={"type": "ValueError", "message": "bad shape", "traceback": "..."}
    )
    return {
        "study": "arithmetic_small",
        "title": "Arithmetic with and without number features",
        "date": "2026-11-21",
        "owner": "Ada Example",
        "question": "Do number features let a small decoder add exactly?",
        "hypothesis": "Number features raise exact match on unseen sums\nby at least ten points.",
        "hypothesis_locked": "Number features raise exact match on unseen sums by at least ten points.",
        "status_account": "6 planned = 5 completed + 1 failed",
        "runs": [*(_run("token_only", seed) for seed in seeds), _run("hybrid", 0), _run("hybrid", 1), broken],
        "seeds": seeds,
        "commands": ["quadrat run fluxem/arithmetic_small 'config.note=a|b'"],
        "config_common": {"learning_rate": 1e-3, "batch_size": 32, "note": "a|b", "warmup": None, "amp": False},
        "config_by_condition": {arm: _config(arm) for arm in ("token_only", "hybrid")},
        "derived": {"all": {"total_steps": 2000}, "hybrid": {"parameter_count": 421337}},
        **_surroundings(),
        "gates": [
            {"stage": "overfit", "outcome": "pass", "criterion": "> 0.90", "measured": "0.97", "n": 3, "evidence": {}}
        ],
        "metrics": [
            _metric("token_only", [0.41231, 0.42117, 0.39911], mean=0.41086, low=0.38312, high=0.43861),
            _metric("hybrid", [0.91, 0.93], mean=0.92),
            _metric("gold parse", [1.0], n=1, mean=1.0, oracle=True),
        ],
        "comparisons": [
            {
                "metric": "test_id/exact_match",
                "condition": "hybrid",
                "baseline": "token_only",
                "n": 2,
                "difference": 0.5,
                "low": None,
                "high": None,
                "p": None,
                "p_holm": None,
            }
        ],
        "health": _HEALTH,
        "runtime": {"total_s": 369.0, "per_run_s": {"token_only_S0": 61.5, "hybrid_S0": 70.25}},
        "evidence": "2026-11-21_arithmetic_small",
        "figures": ["2026-11-21_arithmetic_small/curves.svg"],
        "artifacts": [
            {"path": "results/arithmetic_small/hybrid_S0/model.safetensors", "bytes": 1690000, "sha256": "cd" * 32}
        ],
        "amendments": [],
        "rerun": None,
    }


ANSWERS = {
    "_TODO: links, or the word none_": "[#12](https://example.org/pull/12)",
    "_TODO: for each run and rule listed above, what happened and whether it changes the conclusion_": (
        "hybrid_S2 met a batch of one; the rest of the arm is not touched by it."
    ),
    "_TODO: what got better, by how much, beside which baseline_": (
        "In both seeds that ended the hybrid arm answers half as many again."
    ),
    "_TODO: what got worse or cost more; say so if nothing did_": "Nothing regressed.",
    "_TODO: what the hypothesis did not foresee; say so if nothing did_": "One run failed at step 410.",
    "_TODO: the explanation you believe, and what would show it wrong_": "The code carries the magnitude.",
    "_TODO: one of supported, refuted, inconclusive_": "supported",
    "_TODO: one sentence that answers the question, with the number that decides it_": (
        "Number features add 0.5 in exact match over three seeds."
    ),
    "_TODO: immediate fixes or runs to repeat; delete what does not apply, or write none_": "Repeat hybrid_S2.",
    "- [ ] _TODO: longer-term ideas that this opened_\n": "",
    "_TODO: documentation or code to bring up to date_": "Say in the README what the arms reach.",
}


@pytest.fixture
def answer():
    """A function that answers every prompt of a draft as a person would."""

    def answered(text):
        for prompt, words in ANSWERS.items():
            assert text.count(prompt) == 1, prompt
            text = text.replace(prompt, words)
        assert not re.search("TODO", text)
        return text

    return answered
