"""Runs as Weights & Biases shows them; without an API key as offline runs, to be sent at any later time.

Offline runs lie in ``results/<study>/.wandb/wandb/``. Either ``wandb sync`` takes them, or the mirror is called again
after ``wandb login`` and sends everything from the journal.

Project: ``WANDB_PROJECT``, else the study's name. A run is named as it is here and grouped by study and arm; its job
type is its stage, its config the resolved one, its tag the verdict. What W&B would capture by itself (arguments, code,
machine, packages, printed text) is switched off: the journal has it, and knows what may leave the machine.
"""

from __future__ import annotations

import netrc
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import urlsplit

from quadrat.sinks.base import Ending, Row, RunFacts, Tracker

if TYPE_CHECKING:
    from wandb import Run, Settings

STEP: Final = "quadrat/step"
"""The axis of every chart. W&B's own step only counts rows and cannot go back."""

_WELL: Final = frozenset({"completed", "stopped"})
_NOT_OURS: Final = ("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_SERVICE", "WANDB_SWEEP_ID")
"""Words that somebody left in the environment for a run of theirs, and that would be taken for every run here."""

_REFUSED: Final = b"filestream: fatal error"


@final
class WandbTracker(Tracker):
    """One W&B run for each run, under the run's token as its id.

    A run is always sent from its first row on. To the server the same id without ``resume`` means the same run
    afresh; an offline folder that is no longer valid is removed.
    """

    def __init__(self, home: Path, *, patience: float = 5.0) -> None:
        super().__init__(home, patience=patience)
        for name in _NOT_OURS:
            os.environ.pop(name, None)
        # Read when the package is imported or its service started: nothing is written outside, nothing reported.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR"):
            os.environ.setdefault(name, str(home / "cache"))
        import wandb

        self._wandb = wandb
        self._settings: Settings = wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            disable_job_creation=True,
            finish_timeout=patience,
            finish_timeout_raises=True,
            host="",
            program="",
            save_code=False,
            silent=True,
            stop_fn=_stay,
            symlink=False,
            username="",
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_executable="",
            x_save_requirements=False,
        )
        here: Settings = wandb.setup().settings
        self._server = str(here.base_url)
        self._online = here.mode in ("online", "shared") and has_key(self._server)

    @property
    def destination(self) -> str:
        """The server and the project, or offline."""
        if not self._online:
            return "offline"
        names = (os.environ.get("WANDB_ENTITY"), os.environ.get("WANDB_PROJECT"))
        return " ".join([self._server, *(name for name in names if name)])

    def open(self, run: RunFacts) -> WandbRun:
        """Begin the run anew under its id and remove the local folder of an earlier time."""
        self.home.mkdir(parents=True, exist_ok=True)
        theirs: Run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT") or run.study,
            id=run.token,
            name=run.name,
            group=f"{run.study}/{run.arm}" if run.arm else run.study,
            job_type=run.stage,
            config=_config(run),
            dir=self.home,
            mode="online" if self._online else "offline",
            reinit="create_new",
            settings=self._settings,
        )
        now = Path(theirs.dir).parent
        for folder in now.parent.glob(f"*run-*-{run.token}*"):
            if folder != now:
                shutil.rmtree(folder, ignore_errors=True)
        theirs.define_metric(STEP, hidden=True)
        theirs.define_metric("*", step_metric=STEP)
        return WandbRun(theirs, folder=now)

    def resume(self, run: RunFacts, mark: Mapping[str, Any]) -> WandbRun | None:
        """Never: what has arrived at the server cannot be known, so the run is sent again as a whole."""
        del run, mark
        return None


@final
class WandbRun:
    """One run that is open at W&B."""

    def __init__(self, run: Run, *, folder: Path) -> None:
        self._run = run
        self._folder = folder

    def rows(self, rows: Sequence[Row]) -> None:
        """Hand the rows to the service of the package, which sends them by and by."""
        for row in rows:
            self._run.log({**row.values, STEP: row.step, "_timestamp": row.time})

    def mark(self) -> None:
        """None: see ``WandbTracker.resume``."""

    def close(self, ending: Ending | None) -> None:
        """Wait until everything has arrived, as long as ``patience`` says.

        Raises:
            TimeoutError: it has not.
            ConnectionError: the server would not take it.
        """
        if ending is None:
            self._run.finish(exit_code=1)
            return
        self._run.summary.update({**ending.summary, "status": ending.status})
        self._run.tags = (*(self._run.tags or ()), ending.status)
        self._run.finish(exit_code=0 if ending.status in _WELL else 1)
        # A server that refuses the rows is no error to the package: it says so in a log and stops sending.
        log = self._folder / "logs" / "debug-internal.log"
        if log.is_file() and _REFUSED in log.read_bytes():
            raise ConnectionError(f"the server refused the rows of {self._run.name}")


def has_key(server: str) -> bool:
    """Whether somebody has logged in to ``server`` here: a key or token in the environment, or a line in ``.netrc``."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    path = os.environ.get("NETRC") or str(Path.home() / ".netrc")
    try:
        return netrc.netrc(path).authenticators(urlsplit(server).hostname or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _stay() -> None:
    """What the stop button of W&B's page does here: nothing. Without it the package would interrupt this process."""


def _config(run: RunFacts) -> dict[str, Any]:
    told = {"study": run.study, "stage": run.stage, "arm": run.arm}
    config: dict[str, Any] = {"seed": run.seed, **run.config}
    return {**config, "quadrat": {key: value for key, value in told.items() if value is not None}}
