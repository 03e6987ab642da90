"""Text that must not stand in a record: secrets, paths of somebody's machine, marks of a wrong decoding.

Rendering masks what it can (``mask``), checking reports what is left (``secrets``, ``local_paths``,
``mojibake``): the patterns are one set for both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from quadrat.core.secrets import mask as mask_secrets
from quadrat.core.secrets import secrets_in

# A path from the root of a machine: at least two segments, so that a lone "/x" in prose is left alone.
# Not after a letter, a dot or a slash: "train/loss", "../a/b" and "https://a/b" are something else.
_PATHS = re.compile(
    r"(?<![\w.~/\\)\]}*-])/(?!dev/)[A-Za-z][\w.+-]*(?:/[\w.+@=,~-]+)+/?"
    r"|\bfile://[^\s)>\"'`|]+"
    r"|(?<![\w~])~(?:[a-z_][\w-]*)?/[\w.+@=-][^\s)>\"'`|]*"
    r"|\$\{?HOME\}?/[^\s)>\"'`|]*"
    r"|(?<![A-Za-z0-9])[A-Za-z]:[\\/](?![\\/])[\w.][^\s)>\"'`|]*"
    r"|(?<![\\\w])\\\\[\w.-]+\\[\w$.-][^\s)>\"'`|]*"
)

# UTF-8 read as Windows-1252, Latin-1 or Mac Roman leaves a few leading marks that no language writes this
# way. Signs that mathematics does put after a root or a negation (pi, sum, infinity) are left out.
_TRAIL = "[\u00a0-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
_MOJIBAKE = re.compile(
    "\ufffd"
    "|[\u0080-\u009f]"
    "|\u00e2\u20ac|\u00f0\u0178|\u00ef\u00bb\u00bf"
    f"|\u00e2{_TRAIL}{_TRAIL}|\u00c3{_TRAIL}"
    "|\u00c2[\u00a0-\u00bf]"
    "|\u201a[\u00c4\u00fa\u00f6\u00dc\u00e2\u00c2\u00f9][\u0080-\uffff]"
    "|\u221a[\u2020\u00a9\u00ae\u00a7\u00b6\u00df\u00ba\u00b1\u00fc\u00a2\u00a3\u2122\u00a8\u00b4\u2260\u00c6]"
    "|\u00ac[\u00b1\u2264\u2265\u00b5\u00a9\u00ae\u00b4\u00a8\u2030\u2211]"
)


def secrets(line: str) -> Iterator[str]:
    """What looks like a secret, cut to four characters so that saying it does not repeat it."""
    for found in secrets_in(line):
        yield f"{found[:4]}..."


def local_paths(line: str) -> Iterator[str]:
    """Absolute paths and paths of a home folder."""
    for match in _PATHS.finditer(line):
        yield match.group()


def mojibake(line: str) -> Iterator[str]:
    """Marks of text that was decoded by the wrong table."""
    for match in _MOJIBAKE.finditer(line):
        yield match.group()


def _short(match: re.Match[str]) -> str:
    """The last part of a path, which says what it is without saying whose it is."""
    return ".../" + re.split(r"[\\/]", match.group().rstrip("\\/"))[-1]


def mask(text: str) -> str:
    """``text`` with secrets and the machine's own paths taken out."""
    return _PATHS.sub(_short, mask_secrets(text)[0])
