"""The logger with the real Lightning: what a trainer logs is in the journal, and how it ended too."""

from __future__ import annotations

import json
import pickle

import pytest

import quadrat
from quadrat.journal.layout import RunFolder
from quadrat.journal.reader import RunView
from quadrat.journal.seal import verify

torch = pytest.importorskip("torch", reason="the package torch is not installed")
lightning = pytest.importorskip("lightning.pytorch", reason="the package lightning is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Trains a line of two parameters for six steps with a logger; gives the trainer and the model."""
    for name in ("QUADRAT_RELAY", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)

    class Model(lightning.LightningModule):
        def __init__(self, rate=0.1, *, breaks_at=None):
            super().__init__()
            self.save_hyperparameters()
            self.line = torch.nn.Linear(1, 1)
            self.breaks_at = breaks_at

        def training_step(self, batch, index):
            if self.breaks_at is not None and self.global_step == self.breaks_at[0]:
                raise self.breaks_at[1]
            loss = ((self.line(batch) - 2 * batch) ** 2).mean()
            self.log("train/loss", loss)
            return loss

        def test_step(self, batch, index):
            self.log("test/loss", 0.25)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.hparams.rate)

    def train(logger, **more):
        model = Model(**more)
        trainer = lightning.Trainer(
            logger=logger,
            max_epochs=2,
            log_every_n_steps=1,
            accelerator="cpu",
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        data = torch.utils.data.DataLoader(torch.ones(6, 1), batch_size=2)
        trainer.fit(model, data)
        return trainer, model, data

    return train


def view(root, name="one"):
    return RunView(RunFolder(root / "results/mine" / name))


def rows(view):
    return [json.loads(line) for line in view.folder.metrics.read_text().splitlines()]


def test_a_trainer_writes_into_a_run_that_was_given(train, tmp_path):
    from quadrat.callbacks.lightning import QuadratLogger

    with quadrat.start_run("mine", "one", config={"who": "me"}, root=tmp_path) as run:
        logger = QuadratLogger(run)
        trainer, model, data = train(logger)
        trainer.test(model, data, verbose=False)
        logger.experiment.artifact("words.txt", "kept")
    found = view(tmp_path)
    assert [row["step"] for row in rows(found) if "train/loss" in row["metrics"]] == [0, 1, 2, 3, 4, 5]
    assert found.final()["test/loss"] == 0.25
    assert found.status() == "completed"
    assert verify(found.folder) == []
    notes = [event["data"] for event in found.events() if event.get("kind") == "config"]
    assert notes[0]["rate"] == 0.1


def test_a_logger_of_its_own_records_the_hyperparameters_as_config(train, tmp_path):
    from quadrat.callbacks.lightning import QuadratLogger

    logger = QuadratLogger(study="mine", name="one", seed=7, root=tmp_path)
    assert (logger.name, logger.version) == ("mine", "one")
    assert isinstance(logger, lightning.loggers.Logger)
    assert not (tmp_path / "results").exists()  # nothing begins before there is something to write
    train(logger, rate=0.05)
    logger.experiment.finish()
    assert view(tmp_path).config()["rate"] == 0.05
    assert (view(tmp_path).seed(), view(tmp_path).status()) == (7, "completed")


@pytest.mark.parametrize(("error", "status"), [(LookupError("no more"), "failed"), (KeyboardInterrupt(), "preempted")])
def test_a_training_that_breaks_is_told_with_its_exception(train, tmp_path, error, status):
    from quadrat.callbacks.lightning import QuadratLogger

    logger = QuadratLogger(study="mine", name="one", root=tmp_path)
    with pytest.raises((LookupError, KeyboardInterrupt, SystemExit)):
        train(logger, breaks_at=(2, error))
    assert view(tmp_path).status() == status
    if status == "failed":
        assert view(tmp_path).error()["type"] == "LookupError"
        assert "breaks_at[1]" in view(tmp_path).error()["traceback"]


def test_a_logger_that_has_not_begun_can_be_pickled(tmp_path):
    from quadrat.callbacks.lightning import QuadratLogger

    again = pickle.loads(pickle.dumps(QuadratLogger(study="mine", name="one", root=tmp_path)))
    again.log_metrics({"loss": 1.0}, step=3)
    again.log_metrics({"loss": 0.5})
    again.experiment.finish()
    assert [row["step"] for row in rows(view(tmp_path))] == [3, 4]
