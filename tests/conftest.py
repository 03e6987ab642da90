"""Shared ground of the tests: a laboratory in a temporary folder and the real command line in a subprocess."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

TOY = """\
study: toy
question: Does the slope that the toy finds come near the slope it was given?
hypothesis: Twenty steps of gradient descent bring it within a tenth.
trainable: quadrat.testing.toy:train
config: {{steps: {steps}}}
axes: {{rate: [0.1, 0.5]}}
seeds: [0, 1, 2]
name: R{{rate}}_S{{seed}}
checkpoint: {{every: 5 steps, keep: [last]}}
primary: [test/gap]
baseline: {{rate: 0.1}}
workers: 2
{more}
"""


def pytest_configure() -> None:
    """Hear Ctrl-C again: a suite started in the background of a script is deaf to it, and so are its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Lab:
    """A root folder with a study in it, and the command line to work on it."""

    root: Path

    def write(self, *, steps: int = 20, more: str = "", name: str = "toy.yaml") -> Path:
        """Write the toy study; return its path."""
        path = self.root / name
        path.write_text(TOY.format(steps=steps, more=more), encoding="utf-8")
        return path

    def start(self, *words: str, **options: object) -> subprocess.Popen[str]:
        """Start ``quadrat WORDS`` and come back at once."""
        return subprocess.Popen(
            [sys.executable, "-m", "quadrat", *words],
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
            **options,
        )

    def quadrat(self, *words: str, code: int | None = 0, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run ``quadrat WORDS`` to its end and hold its exit code against ``code``."""
        process = self.start(*words)
        out, err = process.communicate(timeout=timeout)
        if code is not None:
            assert process.returncode == code, f"exit {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def run_folder(self, name: str, study: str = "toy") -> Path:
        """The folder of one run."""
        return self.root / "results" / study / name


@pytest.fixture(scope="session")
def make_lab() -> Callable[[Path], Lab]:
    """Makes a folder a laboratory with the toy study written."""

    def make(folder: Path) -> Lab:
        (folder / "quadrat.toml").write_text("", encoding="utf-8")
        lab = Lab(folder)
        lab.write()
        return lab

    return make


@pytest.fixture
def lab(tmp_path: Path, make_lab: Callable[[Path], Lab]) -> Lab:
    """A laboratory with the toy study written."""
    return make_lab(tmp_path)


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until something holds, at most 60 seconds."""

    def wait(holds: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < until, "it never came to hold"
            time.sleep(0.02)

    return wait


MLFLOW = """
import sys
from mlflow.tracking import MlflowClient
from mlflow.entities import Metric, Param
client = MlflowClient(tracking_uri=f"sqlite:///{sys.argv[1]}/mlflow.db")
first = client.create_experiment("first", artifact_location="file:///nowhere")
second = client.create_experiment("second", artifact_location="file:///nowhere")
def run(experiment, name, status, tags={}, rate=0.1):
    made = client.create_run(experiment, start_time=1_700_000_000_000, run_name=name, tags=tags)
    key = made.info.run_id
    words = {"rate": str(rate), "seed": "3", "optimizer": "adam", "amp": "True", "api_key": "hunter2hunter2"}
    client.log_batch(key, params=[Param(k, v) for k, v in words.items()])
    values = (1.0, float("nan"), float("inf"), 0.25)
    client.log_batch(key, metrics=[Metric("loss", v, 1_700_000_000_000 + 1000 * n, n) for n, v in enumerate(values)])
    client.log_batch(key, metrics=[Metric("acc", 0.5 + n / 10, 1_700_000_000_500 + 1000 * n, n) for n in range(4)])
    if status:
        client.set_terminated(key, status, 1_700_000_009_000)
    return key
parent = run(first, "parent", "FINISHED", {"mlflow.source.git.commit": "c" * 40, "mlflow.user": "somebody"})
run(first, "child", "FAILED", {"mlflow.parentRunId": parent}, rate=0.2)
run(first, "child", "KILLED")
run(second, "at work", None)
client.delete_run(run(second, "gone", "FINISHED"))
"""

WANDB = """
import sys, wandb
settings = wandb.Settings(console="off", silent=True, x_disable_stats=True, x_disable_machine_info=True,
    x_disable_meta=True, disable_git=True, save_code=False, disable_code=True)
for name, code in (("calm-sea-1", 0), ("rough sea", 3)):
    run = wandb.init(project="old", name=name, dir=sys.argv[1], mode="offline", settings=settings, reinit="create_new",
        config={"rate": 0.1, "model": {"depth": 2}, "seed": 3, "api_key": "hunter2hunter2"})
    for n in range(4):
        run.log({"loss": float("nan") if n == 1 else 1 / (n + 1), "inner": {"a": n}, "text": "words"})
    run.log({"h": wandb.Histogram([1, 2, 3])})
    run.summary["test/gap"] = 0.125
    run.config.update({"late": 7})
    run.finish(exit_code=code)
"""


def _write_tensorboard(folder: Path) -> None:
    """Two runs at different depths, by the package's own writer: old scalars and new ones, parameters, an image."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.plugins.scalar import metadata as scalars
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    for name, status in (("old", None), ("deep/er/new", api_pb2.STATUS_FAILURE)):
        writer = EventFileWriter(str(folder / name))
        for step in range(4):
            old = Summary(value=[Summary.Value(tag="train/loss", simple_value=1.0 / (step + 1))])
            image = Summary(value=[Summary.Value(tag="look", image=Summary.Image(height=1, width=1))])
            about, tensor = scalars.create_summary_metadata("", ""), make_tensor_proto(step / 4)
            new = Summary(value=[Summary.Value(tag="val/acc", metadata=about, tensor=tensor)])
            for summary in (old, new, image):
                writer.add_event(Event(wall_time=1.7e9 + step, step=step, summary=summary))
        if status is not None:
            words = {"rate": 0.1, "depth": 2.0, "amp": True, "optimizer": "adam"}
            writer.add_event(Event(wall_time=1.7e9, summary=hparams_pb(words, start_time_secs=1.7e9)))
            end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=1.7e9 + 9)
            ending = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
            told = Summary(value=[Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=ending)])
            writer.add_event(Event(wall_time=1.7e9 + 9, summary=told))
        writer.close()


CSV = """epoch,step,train_loss,val_loss,model
0,9,0.75,,mamba
0,19,0.5,,mamba
0,19,,0.875,mamba
1,29,NaN,0.625,mamba
"""


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Results of another program, really written by its package, once a session: read them, or copy them first.

    ``foreign("tensorboard")`` is a folder; ``wandb``, ``mlflow`` and ``csv`` are the other names.
    """
    made: dict[str, Path] = {}

    def program(code: str, folder: Path) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "MLFLOW_"))}
        environ |= {"HOME": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
        environ |= {"WANDB_ERROR_REPORTING": "false", "NETRC": "/nonexistent"}
        subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(folder)], check=True, env=environ, cwd=folder)

    def write(name: str) -> Path:
        if name in made:
            return made[name]
        if name != "csv":
            pytest.importorskip(name, reason=f"the package {name} is not installed")
        folder = tmp_path_factory.mktemp(f"from-{name}")
        if name == "csv":
            made[name] = folder / "metrics.csv"
            made[name].write_text(CSV, encoding="utf-8")
        elif name == "tensorboard":
            made[name] = folder / "logs"
            _write_tensorboard(folder / "logs")
        elif name == "wandb":
            made[name] = folder / "wandb"
            program(WANDB, folder)
        else:
            pytest.importorskip("sqlalchemy", reason="the package sqlalchemy is not installed")
            made[name] = folder / "mlflow.db"
            program(MLFLOW, folder)
        return made[name]

    return write
