"""Secrets: known by the shape of the token or the name before it, and masked before anything is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

MASK: Final = "***"

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
  | eyJ[A-Za-z0-9_-]{10,500}\.[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,500}   # JSON web token
  )
  | -----BEGIN[ ][A-Z ]{0,20}PRIVATE[ ]KEY-----
    """,
    re.VERBOSE,
)
_NAMED = re.compile(
    r"(?i)((?:api[_-]?key|secret|passw(?:or)?d|access[_-]?token|auth[_-]?token|wandb[_-]?key)"
    r"[\"']?\s{0,4}[=:]\s{0,4}[\"']?)([^\s\"',;&]{6,})"
)
_LOGIN = re.compile(r"(?<=://)[^/\s@]{1,200}@")


def mask(text: str) -> tuple[str, int]:
    """``text`` with every secret replaced by ``***``, and how many were found."""
    text, logins = _LOGIN.subn(f"{MASK}@", text)
    text, tokens = _TOKEN.subn(MASK, text)
    text, named = _NAMED.subn(rf"\g<1>{MASK}", text)
    return text, logins + tokens + named


def masked(value: Any) -> Any:
    """Plain data with every secret in any of its texts replaced; keys stay as they are."""
    if isinstance(value, str):
        return mask(value)[0]
    if isinstance(value, Mapping):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [masked(item) for item in value]
    return value
