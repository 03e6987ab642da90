"""``quadrat run -- python train.py --lr 0.1``: a command line as a study of one condition, its parameters found in it.

Nothing about the program changes: it is started with the same words. A word that holds the value of a parameter becomes
a field of the command, so the parameter is a key of the config like any other and may be varied before the ``--``.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final, final

from quadrat.core.errors import StudyError, UsageError
from quadrat.study.identity import content_hash
from quadrat.study.read import parse_yaml, read_bytes

PLACES: Final = ("seed", "run_dir", "config", "root", "device", "command")
"""Keys that mean something else in a command: fields that the instrument fills, and the command itself."""

CONFIG_FILES: Final = (".yaml", ".yml", ".json")
_KEY = re.compile(r"[A-Za-z_]\w*(?:[.-]\w+)*")
_PAIR = re.compile(r"(\+{0,2}([A-Za-z_]\w*(?:\.\w+)*)=)(.*)", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*|\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?")
_PLACE = re.compile(r"\{(?:seed|run_dir|root|device)\}")


def study_text(words: Sequence[str], *, folder: Path) -> str:
    """A study file, as JSON, that starts ``words`` once.

    Flags (``--lr 0.1``, ``--lr=0.1``) and pairs (``lr=0.1``) become keys of the config; ``--seed`` becomes the seed.
    What cannot be a field, such as a bare flag or the contents of a ``--config`` file, is told under
    ``command.params``: it counts for the run's identity and is shown with it.

    Args:
        words: the program and its arguments. ``{run_dir}`` and ``{seed}`` in them are filled in.
        folder: where the program would be started; config files are looked up in it.

    Raises:
        UsageError: there are no words.
    """
    if not words:
        raise UsageError("nothing stands behind the --.", where="quadrat run", remedy="quadrat run -- python train.py")
    head = _head(words)
    found = _Found(folder, [_literal(word) for word in words[:head]])
    found.read(words[head:])
    stem = re.sub(r"\W+", "_", PurePath(words[head - 1]).stem).strip("_") or "program"
    command = {"line": " ".join(map(_quoted, found.line)), **({"params": found.params} if found.params else {})}
    told = {**found.config, **{key: value for key, value in found.params.items() if not isinstance(value, Mapping)}}
    return json.dumps(
        {
            "study": stem,
            "question": f"What does {PurePath(words[head - 1]).name} measure, started like this?",
            "command": command,
            "config": found.config,
            "seeds": [found.seed],
            "name": f"{_readable(told)}{content_hash([command, found.config])[:6]}_S{{seed}}",
        },
        indent=1,
    )


@final
@dataclass(slots=True)
class _Found:
    """What a command line says, as far as it has been read."""

    folder: Path
    line: list[str]
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    seed: int = 0

    def read(self, words: Sequence[str]) -> None:
        """Take in everything behind the program."""
        place = 0
        while place < len(words):
            word = words[place]
            after = words[place + 1] if place + 1 < len(words) else None
            flag, equals, value = word.partition("=")
            key = flag.lstrip("-").replace("-", "_")
            pair = _PAIR.fullmatch(word)
            if pair is not None:
                self._give(pair[2], pair[3], before=pair[1])
            elif not flag.startswith("--") or not _KEY.fullmatch(flag[2:]):
                self.line.append(_literal(word))
            elif equals:
                self._give(key, value, before=f"{flag}=")
            elif after is None or (after.startswith("-") and not _NUMBER.fullmatch(after)) or _PAIR.fullmatch(after):
                self.line.append(word)
                self.params[key] = True
            else:
                self.line.append(word)
                self._give(key, after)
                place += 1
            place += 1

    def _give(self, key: str, text: str, *, before: str = "") -> None:
        """A parameter and the text of its value; ``before`` stands before it in the same word."""
        if key == "seed" and re.fullmatch(r"0|[1-9]\d{0,8}", text):
            self.seed = int(text)
            self.line.append(f"{before}{{seed}}")
        elif _PLACE.search(text) or self._is_taken(key):
            self.line.append(_literal(f"{before}{text}"))
            if not _PLACE.search(text):
                self._note(key, text)
        else:
            self.config[key] = _value(text)
            self.line.append(f"{_literal(before)}{{{key}}}")

    def _is_taken(self, key: str) -> bool:
        if key.partition(".")[0] in PLACES:
            return True
        return any(key == other or key.startswith(f"{other}.") or other.startswith(f"{key}.") for other in self.config)

    def _note(self, key: str, text: str) -> None:
        file = self.folder / text
        self.params[key] = text
        if file.suffix in CONFIG_FILES and file.is_file():
            try:
                self.params[key] = {"file": text, "contents": parse_yaml(read_bytes(file), label=text).data}
            except StudyError:
                return  # a file of some other kind: its hash is told when the program is started


def _head(words: Sequence[str]) -> int:
    """How many words name the program: up to its script, or to the module behind ``-m``."""
    for place, word in enumerate(words):
        if word == "-m" and place + 1 < len(words):
            return place + 2
        if PurePath(word).suffix in (".py", ".sh"):
            return place + 1
    return 1


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    if not _NUMBER.fullmatch(text):
        return text
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def _literal(word: str) -> str:
    """A word that stays as it is: its braces doubled, but for the fields that the instrument fills."""
    pieces = _PLACE.split(word)
    fields = _PLACE.findall(word)
    doubled = [piece.replace("{", "{{").replace("}", "}}") for piece in pieces]
    return "".join(piece + place for piece, place in zip(doubled, [*fields, ""], strict=True))


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./{}-]+", word) else shlex.quote(word)


def _readable(config: Mapping[str, Any]) -> str:
    parts = [f"{key.rpartition('.')[2]}{value}" for key, value in config.items() if not isinstance(value, str)]
    kept = [part for part in parts if re.fullmatch(r"[\w.-]{1,24}", part)][:3]
    return "".join(f"{part}_" for part in kept)
