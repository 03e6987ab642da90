"""From bytes to text: strict UTF-8, and a word about text that went through the wrong encoding."""

from __future__ import annotations

import codecs
import re

from quadrat.core.errors import Problem, StudyError

_GUESSES = (("mac_roman", "Mac Roman"), ("cp1252", "Windows-1252"))
_WRONG_TURNS = ("cp1252", "latin-1", "mac_roman")


def decode(data: bytes, *, label: str) -> str:
    """The text of a file; a byte order mark is let pass.

    Raises:
        StudyError: the bytes are not UTF-8.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise StudyError([Problem("the file is UTF-16.", f"{label}:1", "save it as UTF-8.")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as trouble:
        raise StudyError([_not_utf8(data, trouble.start, label=label)]) from None


def mojibake(text: str, *, label: str) -> list[Problem]:
    """A warning for each line with letters that make sense only when read back through another encoding."""
    found: list[Problem] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.isascii():
            continue
        for run in re.findall(r"[^\x00-\x7f]{2,}", line):
            meant = _meant(run)
            if meant:
                what = f"{run!r} looks like {meant!r} saved in the wrong encoding."
                found.append(Problem(what, f"{label}:{number}", "open the file as UTF-8 and write the letters anew."))
                break
    return found


def _meant(run: str) -> str | None:
    for codec in _WRONG_TURNS:
        try:
            meant = run.encode(codec).decode("utf-8")
        except UnicodeError:
            continue
        if meant.isprintable():
            return meant
    return None


def _not_utf8(data: bytes, offset: int, *, label: str) -> Problem:
    line = data.count(b"\n", 0, offset) + 1
    begin = max(data.rfind(b" ", 0, offset), data.rfind(b"\n", 0, offset)) + 1
    word = re.split(rb"[\s]", data[begin : offset + 20], maxsplit=1)[0]
    readings = ", ".join(f"{word.decode(codec, 'replace')!r} in {name}" for codec, name in _GUESSES)
    what = f"byte 0x{data[offset]:02x} is not UTF-8; the word would read {readings}."
    return Problem(what, f"{label}:{line}", "save the file as UTF-8.")
