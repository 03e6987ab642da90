"""Where things lie: the root, the studies in it, the files of a run. All names are joined here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from quadrat.core.errors import UsageError
from quadrat.core.spec import RunSpec

MARKER: Final = "quadrat.toml"
VARIABLE: Final = "QUADRAT_ROOT"
RESULTS: Final = "results"


@final
@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def params(self) -> Path:
        """One row per attempt."""
        return self.path / "params.ndjson"

    @property
    def metrics(self) -> Path:
        """One row per measured step; no clock."""
        return self.path / "metrics.ndjson"

    @property
    def events(self) -> Path:
        """Everything with a clock."""
        return self.path / "events.ndjson"

    @property
    def metrics_json(self) -> Path:
        """Final, best and summary values, written at the end."""
        return self.path / "metrics.json"

    @property
    def health(self) -> Path:
        """What the health rules found."""
        return self.path / "health.json"

    @property
    def verdict(self) -> Path:
        """How the run ended."""
        return self.path / "verdict.json"

    @property
    def env(self) -> Path:
        """The machine, the packages, the allow-listed environment."""
        return self.path / "env.json"

    @property
    def git(self) -> Path:
        """The commit and whether the tree was clean."""
        return self.path / "git.json"

    @property
    def git_diff(self) -> Path:
        """What was not committed, as a binary patch."""
        return self.path / "git.diff"

    @property
    def data(self) -> Path:
        """The split manifest of the data used."""
        return self.path / "data.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def artifacts(self) -> Path:
        """Folder of files that science left."""
        return self.path / "artifacts"

    @property
    def log(self) -> Path:
        """Standard output and error of the run's process."""
        return self.path / "train.log"

    @property
    def manifest(self) -> Path:
        """The seal: every file with its hash, written last."""
        return self.path / "manifest.json"

    @property
    def attempts(self) -> Path:
        """What earlier attempts left: cut metrics, verdicts that no longer hold."""
        return self.path / "attempts"


@final
@dataclass(frozen=True, slots=True)
class StudyFolder:
    """The folder of one study under ``results/``.

    Raises:
        UsageError: the name cannot be a folder's name, or the folder would lie outside ``results/``.
    """

    root: Path
    name: str

    def __post_init__(self) -> None:
        _check_part("study", self.name)
        inside(self.root, self.path)

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.root / RESULTS / self.name

    @property
    def figures(self) -> Path:
        """Pictures of the study as a whole, for its page; whoever draws them puts them there."""
        return self.path / "figures"

    @property
    def lock_json(self) -> Path:
        """The declared plan, hashed, and its amendments."""
        return self.path / "study.lock.json"

    @property
    def gates_json(self) -> Path:
        """How every point stood before every gate when the conductor looked last."""
        return self.path / "gates.json"

    @property
    def lock_file(self) -> Path:
        """The file that the one conductor of this study holds a lock on."""
        return self.path / ".lock"

    @property
    def conductor_json(self) -> Path:
        """Which process conducts this study now."""
        return self.path / ".conductor.json"

    @property
    def jobs(self) -> Path:
        """Folder of the job folders."""
        return self.path / ".jobs"

    def runs(self) -> Iterator[RunFolder]:
        """The runs that have begun, in the order of their paths. Links and hidden folders are passed over."""
        for first in _folders(self.path):
            if _is_run(first):
                yield RunFolder(first)
                continue
            for second in _folders(first):
                if _is_run(second):
                    yield RunFolder(second)

    def run_folder(self, spec: RunSpec) -> RunFolder:
        """Where a declared run lies, or will lie.

        Raises:
            UsageError: its name or stage would lead out of the study's folder.
        """
        _check_part("study", spec.study)
        if spec.stage is not None:
            _check_part("stage", spec.stage)
        _check_part("run", spec.name)
        return RunFolder(inside(self.root, self.root / RESULTS / spec.path))


def find_root(start: Path | None = None, explicit: Path | None = None) -> Path:
    """The folder that holds ``results/``, ``experiments/`` and ``data/``.

    ``explicit`` (``--root``) wins, then ``QUADRAT_ROOT``, then the nearest folder from ``start`` upward with a
    ``quadrat.toml``, else ``start`` itself, which is the working directory unless given.

    Raises:
        UsageError: the root asked for is not a folder.
    """
    begin = (start or Path.cwd()).resolve()
    told = os.environ.get(VARIABLE)
    asked = (explicit, "--root") if explicit is not None else (Path(told), VARIABLE) if told else None
    if asked is not None:
        chosen, source = asked
        if not chosen.is_dir():
            raise UsageError(f"{source} names {str(chosen)!r}, which is not a folder.", remedy="make it first.")
        return chosen.resolve()
    for folder in (begin, *begin.parents):
        if (folder / MARKER).is_file():
            return folder
    return begin


def studies(root: Path) -> list[str]:
    """The names of the studies that have a folder under ``results/``."""
    return [folder.name for folder in _folders(root / RESULTS)]


def inside(root: Path, path: Path) -> Path:
    """``path``, once it is sure that it lies inside ``root`` with every link resolved.

    Raises:
        UsageError: it leads out.
    """
    real = path.resolve()
    if not real.is_relative_to(root.resolve()):
        raise UsageError(
            f"the path leads out of the root, to {str(real)!r}.",
            where=str(path),
            remedy="a name without '..', or --root with the folder meant; links out of the root are not followed.",
        )
    return path


def _check_part(kind: str, name: str) -> None:
    bad = not name or name.startswith(".") or any(letter in "/\\" or ord(letter) < 32 for letter in name)
    if bad or len(name.encode("utf-8", "replace")) > 255:
        raise UsageError(
            f"{name[:100]!r} cannot be the name of a {kind}: it would not stay inside its folder.",
            remedy="letters, digits and . _ = + - only, not beginning with a dot.",
        )


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            names = [
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []
    return [parent / name for name in sorted(names)]


def _is_run(folder: Path) -> bool:
    return (folder / "params.ndjson").is_file() or (folder / "config.yaml").is_file()
