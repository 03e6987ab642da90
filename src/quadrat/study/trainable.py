"""From ``module:function`` to the functions and the config class a study is made of."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, final, get_type_hints

from pydantic import BaseModel

from quadrat.core.context import Build, Train, TrainPack
from quadrat.core.errors import QuadratError, UsageError, nearest
from quadrat.core.registry import members

_SHAPE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


@final
@dataclass(frozen=True, slots=True)
class Trainable:
    """What science supplies, found and looked over.

    Attributes:
        name: ``module:function`` as the study names it.
        train: the generator function.
        config_class: the pydantic model that the first parameter of ``train`` is annotated with.
        build_data: makes the data, once for each content of the config; None when the study needs none.
        evaluate: measures a finished model again; None when the study offers none.
        train_pack: trains runs of one shape together; None when the study does not.
        pack_key: what must be equal for runs to be of one shape; None when the study does not pack.
        pack_tokens: how much one member adds to a step, in tokens; None when the study does not say.
        relative_cost: how long one run takes beside others of the study; None when the study does not say.
        module: the imported module.
        python_path: folders that had to be added to ``sys.path`` to import it; a worker must add them too.
    """

    name: str
    train: Train
    config_class: type[BaseModel]
    build_data: Build | None
    evaluate: Train | None
    train_pack: TrainPack | None
    pack_key: Callable[[Any], Any] | None
    pack_tokens: Callable[[Any], int] | None
    relative_cost: Callable[[Any], float] | None
    module: ModuleType
    python_path: tuple[Path, ...] = ()


def resolve(name: str, *, folders: Sequence[Path] = ()) -> Trainable:
    """Import a trainable and look it over.

    Args:
        name: ``module:function``.
        folders: where the module may lie beside what is installed, the first one first.

    Raises:
        UsageError: no such module or function, or it does not have the shape of a trainable.
    """
    match = _SHAPE.fullmatch(name)
    if match is None:
        remedy = "write `module:function`, for example `my_study.experiment:train`."
        raise UsageError(f"{name[:100]!r} does not name a trainable.", remedy=remedy)
    module_name, function = match[1], match[2]
    python_path = _python_path(module_name, folders)
    with importable(python_path):
        module = _import(module_name)
    train = _member(module, function)
    if train is None:
        names = [key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_"]
        close = nearest(function, names)
        remedy = f"did you mean {close!r}?" if close else f"functions there: {', '.join(sorted(names)) or 'none'}."
        raise UsageError(f"module {module_name!r} has no function {function!r}.", remedy=remedy)
    config_class = _config_class(train, name)
    build = _member(module, "build_data")
    return Trainable(
        name=name,
        train=train,
        config_class=config_class,
        build_data=build,
        evaluate=_member(module, "evaluate"),
        train_pack=_member(module, "train_pack"),
        pack_key=_member(module, "pack_key"),
        pack_tokens=_member(module, "pack_tokens"),
        relative_cost=_member(module, "relative_cost"),
        module=module,
        python_path=python_path,
    )


def code_sha256(trainable: Trainable) -> str:
    """SHA-256 over all python files that belong to the trainable, by sorted relative path and bytes.

    These are the files of the registered study package that the module lies in, else of its top package; for a
    module outside any package it is that one file.
    """
    top, files = _code_files(trainable.module)
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.relative_to(top).as_posix()):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(top).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


@contextmanager
def importable(folders: Sequence[Path]) -> Generator[None]:
    """Folders at the front of ``sys.path`` for the time of a block."""
    added = [str(folder) for folder in folders if str(folder) not in sys.path]
    sys.path[:0] = added
    try:
        yield
    finally:
        for folder in added:
            if folder in sys.path:
                sys.path.remove(folder)


def _python_path(module: str, folders: Sequence[Path]) -> tuple[Path, ...]:
    """The folder among ``folders`` that holds ``module``; none when it comes from an installed package.

    A module of the same name that came from another folder is forgotten, so that two studies in one process may
    both have their ``experiment.py``.
    """
    top = module.partition(".")[0]
    importlib.invalidate_caches()
    for folder in dict.fromkeys(folder.resolve() for folder in folders):
        spec = PathFinder.find_spec(top, [str(folder)])
        if spec is None or (spec.origin is None and not _is_module(folder.joinpath(*module.split(".")))):
            continue
        loaded = sys.modules.get(top)
        if loaded is not None and _home(loaded) != _home(spec):
            _forget(top, loaded)
        # Also when it can be imported as things are: a worker does not have this process's first entries of the path.
        return (folder,)
    loaded = sys.modules.get(top)
    if loaded is not None and _home(loaded) and not any(finder.find_spec(top, None) for finder in sys.meta_path):
        _forget(top, loaded)  # it came from a folder that belonged to another study
    return ()


def _forget(top: str, loaded: ModuleType) -> None:
    """Make room for another module called ``top``, and with it for others that lay beside the one that goes."""
    home = Path(_home(loaded) or "")
    folder = home.parent.parent if home.name == "__init__.py" else home.parent
    is_contained = str(folder) not in {os.path.realpath(entry) for entry in sys.path}
    for name, module in list(sys.modules.items()):
        first = name.partition(".")[0]
        place = Path(_home(module) or "")
        # Only what is imported as `first` from that very folder: an environment may lie deeper inside it.
        is_beside = place.is_relative_to(folder) and place.relative_to(folder).parts[:1] in ((first,), (f"{first}.py",))
        if first == top or (is_contained and is_beside):
            del sys.modules[name]


def _is_module(path: Path) -> bool:
    """Whether there is code at a path: python takes any folder for a package, even one that only has the name."""
    return path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file()


def _home(thing: Any) -> str | None:
    origin = getattr(thing, "origin", None) or getattr(thing, "__file__", None)
    if isinstance(origin, str):
        return os.path.realpath(origin)
    if origin is not None:
        return None  # a lazy namespace that answers every question, such as torch.ops: it lies nowhere
    places = getattr(thing, "submodule_search_locations", None) or getattr(thing, "__path__", None)
    return os.path.realpath(next(iter(places), "")) if places is not None else None


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is not None and (name == missing.name or name.startswith(f"{missing.name}.")):
            remedy = "check the spelling; the module must be installed or lie beside the study file."
            raise UsageError(f"no module {missing.name!r} to import the trainable from.", remedy=remedy) from missing
        what = f"module {name!r} needs the module {missing.name!r}, which is not installed."
        raise UsageError(what, remedy=f"pip install {missing.name}") from missing
    except QuadratError:
        raise
    except (Exception, SystemExit) as trouble:
        frames = traceback.extract_tb(trouble.__traceback__)
        where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        if isinstance(trouble, SyntaxError):
            where = f" at {trouble.filename}:{trouble.lineno}"
        what = f"module {name!r} cannot be imported: {type(trouble).__name__}: {trouble}{where}."
        raise UsageError(what, remedy=f"python -c 'import {name}' shows the same.") from trouble


def _member(module: ModuleType, name: str) -> Any:
    value = getattr(module, name, None)
    return value if callable(value) else None


def _config_class(train: Callable[..., Any], name: str) -> type[BaseModel]:
    remedy = "def train(config: Config, context: Context), where Config is a pydantic model."
    try:
        parameters = list(inspect.signature(train).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    if len(positional) < 2 or len(required) > 2:
        raise UsageError(f"{name} does not take a config and a context.", remedy=remedy)
    annotation: Any = positional[0].annotation
    try:
        annotation = get_type_hints(train).get(positional[0].name, annotation)
    except Exception:
        # Another annotation of the function cannot be resolved here; the first one may be a class already,
        # or a name in the function's module.
        annotation = getattr(train, "__globals__", {}).get(annotation, annotation)
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        raise UsageError(f"the first parameter of {name} is not annotated with a pydantic model.", remedy=remedy)
    return annotation


def _code_files(module: ModuleType) -> tuple[Path, list[Path]]:
    if module.__file__ is None:
        return Path(), []
    file = Path(module.__file__)
    registered = [point.value for point in members("studies").values()]
    homes = [home for home in registered if module.__name__ == home or module.__name__.startswith(f"{home}.")]
    if homes:
        package = max(homes, key=len)
    elif "." in module.__name__ or file.name == "__init__.py":
        package = module.__name__.partition(".")[0]
    else:
        return file.parent, [file]
    below = module.__name__.count(".") - package.count(".") - (file.name != "__init__.py")
    top = file.parents[below]
    return top, [path for path in top.rglob("*.py") if path.is_file() and not _is_hidden(path, top)]


def _is_hidden(path: Path, top: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(top).parts)
