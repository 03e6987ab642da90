"""The callback with the real trainer of Hugging Face."""

from __future__ import annotations

import json

import pytest

import quadrat
from quadrat.callbacks.huggingface import named
from quadrat.journal.layout import RunFolder
from quadrat.journal.reader import RunView


def test_names_tell_the_part():
    logs = {"loss": 1.0, "eval_loss": 2.0, "eval_f1_macro": 3.0, "train_runtime": 4.0, "epoch": 1.0, "eval": 5.0}
    assert named(logs) == {
        "train/loss": 1.0,
        "eval/loss": 2.0,
        "eval/f1_macro": 3.0,
        "train/train_runtime": 4.0,
        "train/epoch": 1.0,
        "train/eval": 5.0,
    }


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Trains a line of two parameters for four steps and evaluates it."""
    torch = pytest.importorskip("torch", reason="the package torch is not installed")
    transformers = pytest.importorskip("transformers", reason="the package transformers is not installed")
    pytest.importorskip("accelerate", reason="the package accelerate is not installed")
    for name in ("QUADRAT_RELAY", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    class Line(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.line = torch.nn.Linear(1, 1)

        def forward(self, x, labels=None):
            return {"loss": ((self.line(x) - labels) ** 2).mean()}

    def train(callback):
        rows = [{"x": torch.ones(1), "labels": torch.ones(1)} for _ in range(8)]
        args = transformers.TrainingArguments(
            output_dir=str(tmp_path / "out"),
            max_steps=4,
            per_device_train_batch_size=2,
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
            learning_rate=0.01,
            hub_token="hf_" + "a1" * 15,
        )
        trainer = transformers.Trainer(
            model=Line(), args=args, train_dataset=rows, eval_dataset=rows, callbacks=[callback]
        )
        trainer.train()
        trainer.evaluate()

    return train


@pytest.mark.filterwarnings("ignore")
def test_a_trainer_writes_into_a_run(train, tmp_path):
    from quadrat.callbacks.huggingface import QuadratCallback

    with quadrat.start_run("mine", "given", root=tmp_path) as run:
        train(QuadratCallback(run))
    own = QuadratCallback(study="mine", name="own", seed=3, root=tmp_path)
    train(own)
    own._pending.run.finish()
    for name in ("given", "own"):
        view = RunView(RunFolder(tmp_path / "results/mine" / name))
        rows = [json.loads(line) for line in view.folder.metrics.read_text().splitlines()]
        assert [row["step"] for row in rows if "train/loss" in row["metrics"]] == [1, 2, 3, 4]
        assert any("eval/loss" in row["metrics"] for row in rows)
        assert view.derived() == {"total_steps": 4, "parameter_count": 2}
        assert view.status() == "completed"
    assert view.config()["learning_rate"] == 0.01
    everything = b"".join(path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file())
    assert b"a1a1a1a1" not in everything
