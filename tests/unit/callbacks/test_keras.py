"""The callback with the real Keras, on torch."""

from __future__ import annotations

import json

import pytest

import quadrat
from quadrat.callbacks.keras import named
from quadrat.journal.layout import RunFolder
from quadrat.journal.reader import RunView


def test_names_tell_the_part():
    assert named({"loss": 1.0, "val_loss": 2.0, "mae": 3.0}) == {"train/loss": 1.0, "val/loss": 2.0, "train/mae": 3.0}


@pytest.fixture
def fit(monkeypatch):
    """Fits a line for three epochs of four batches."""
    pytest.importorskip("torch", reason="the package torch is not installed")
    numpy = pytest.importorskip("numpy")
    for name in ("QUADRAT_RELAY", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="the package keras is not installed")

    def fit(callback):
        model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
        model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
        x = numpy.ones((8, 1), "float32")
        model.fit(x, x, epochs=3, batch_size=2, verbose=0, validation_data=(x, x), callbacks=[callback])

    return fit


@pytest.mark.filterwarnings("ignore")
def test_a_fit_writes_into_a_run(fit, tmp_path):
    from quadrat.callbacks.keras import QuadratCallback

    with quadrat.start_run("mine", "given", root=tmp_path) as run:
        fit(QuadratCallback(run))
    own = QuadratCallback(study="mine", name="own", seed=3, root=tmp_path, every=2)
    fit(own)
    own._pending.run.finish()

    def rows(name):
        path = RunFolder(tmp_path / "results/mine" / name).metrics
        return [json.loads(line) for line in path.read_text().splitlines()]

    assert [row["step"] for row in rows("given")] == [1, 2, 3]
    assert set(rows("given")[0]["metrics"]) == {"train/loss", "train/mae", "val/loss", "val/mae"}
    assert [row["step"] for row in rows("own") if "val/loss" not in row["metrics"]] == [2, 4, 6, 8, 10, 12]
    view = RunView(RunFolder(tmp_path / "results/mine/given"))
    assert (view.status(), view.derived()) == ("completed", {"total_steps": 3, "parameter_count": 2})
