"""Secrets: known by the shape of the token or the name before it, and masked before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

MASK: Final = "***"
_SHORTEST: Final = 6

_TOKEN = re.compile(
    r"""
  (?<![A-Za-z0-9])(?:                      # a token begins a word: "mask-one-two..." is none
    AKIA[0-9A-Z]{16}                       # AWS access key
  | gh[pousr]_[A-Za-z0-9]{20,255}          # GitHub
  | github_pat_[A-Za-z0-9_]{20,255}
  | glpat-[A-Za-z0-9_-]{20,64}             # GitLab
  | hf_[A-Za-z0-9]{20,64}                  # Hugging Face
  | sk-[A-Za-z0-9_-]{20,200}               # OpenAI and the like
  | xox[abprs]-[A-Za-z0-9-]{10,200}        # Slack
  | AIza[0-9A-Za-z_-]{35}                  # Google
  | eyJ[A-Za-z0-9_-]{10,500}\.[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{4,500}   # JSON web token
  )
  | -----BEGIN[ ][A-Z ]{0,20}PRIVATE[ ]KEY-----
    """,
    re.VERBOSE,
)
_NAMES: Final = (
    r"(?:(?:api|access|private|wandb)[_-]?key|secret(?:[_-]?(?:access[_-]?)?key)?|passw(?:or)?d|passphrase"
    r"|(?:access|auth|api|bearer|refresh|hf|github|wandb)[_-]?token)"
)
_NAMED = re.compile(
    rf"(?i)({_NAMES}[\"']?\s{{0,4}}[=:]\s{{0,4}})"
    r"(?:\"([^\"\n]{6,500})\"|'([^'\n]{6,500})'|[\"']?([^\s\"',;&]{6,}))"
)
_NAME = re.compile(rf"(?i)(?:^|[_.-]){_NAMES}$")
_LOGIN = re.compile(r"(?<=://)[^/\s@]{1,200}@")
_PASSWORD = re.compile(r"(?<=://)[^/\s@:]{0,200}:(?!\*{3}@|\$|\{)[^/\s@]{1,200}@")
_REFERENCE = re.compile(r"\$\{?\w+\}?|\{[\w.]*\}|env:\w+|\*+|<[^<>]*>")
"""What only says where a secret is found: ``$API_KEY``, ``{api_key}``, ``env:API_KEY``; or a secret masked before."""


def mask(text: str) -> tuple[str, int]:
    """``text`` with every secret replaced by ``***``, and how many were found."""
    text, logins = _LOGIN.subn(f"{MASK}@", text)
    text, tokens = _TOKEN.subn(MASK, text)
    hidden = 0

    def hide(match: re.Match[str]) -> str:
        nonlocal hidden
        value = match[2] or match[3] or match[4]
        if _REFERENCE.fullmatch(value):
            return match[0]
        hidden += 1
        return f"{match[1]}{match[0][len(match[1]) :].replace(value, MASK, 1)}"

    return _NAMED.sub(hide, text), logins + tokens + hidden


def secrets_in(text: str) -> Iterator[str]:
    """Every secret in a text; a name before a login's ``@`` without a password is none."""
    for match in (*_PASSWORD.finditer(text), *_TOKEN.finditer(text)):
        yield match[0]
    for match in _NAMED.finditer(text):
        value = match[2] or match[3] or match[4]
        if not _REFERENCE.fullmatch(value):
            yield value


def masked_words(words: Sequence[str]) -> list[str]:
    """A command line with its secrets masked, also one that is the word after its name (``--api-key VALUE``)."""
    return [MASK if _is_told(before, word) else mask(word)[0] for before, word in pairwise(["", *words])]


def is_secret(value: Any, name: str = "") -> bool:
    """Whether a value of a config is a secret: by its shape, by its ``name``, or because a command line in it is one.

    What only says where the secret is found, such as ``$API_KEY``, is none.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return False
    text = str(value)
    if len(text) >= _SHORTEST and _NAME.search(name) and not _REFERENCE.fullmatch(text):
        return True
    found = _PASSWORD.search(text) or _TOKEN.search(text) or mask(_LOGIN.sub("", text))[1]
    words = text.split()
    return bool(found) or any(_is_told(before, word) for before, word in pairwise(words))


def _is_told(before: str, word: str) -> bool:
    """Whether the word before, as an option of a command, says that this one is a secret."""
    if not before.startswith("-") or word.startswith("-") or len(word) < _SHORTEST:
        return False
    return bool(_NAME.search(before.lstrip("-"))) and not _REFERENCE.fullmatch(word)


def masked(value: Any) -> Any:
    """Plain data with every secret in any of its texts replaced; keys stay as they are."""
    if isinstance(value, str):
        return mask(value)[0]
    if isinstance(value, Mapping):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [masked(item) for item in value]
    return value
