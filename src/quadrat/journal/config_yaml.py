"""``config.yaml``: the resolved config as YAML 1.2, the same bytes for the same config."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from quadrat.core.errors import StoreError
from quadrat.journal.atomic import read_bytes
from quadrat.journal.plain import plain, text

MAX_BYTES: Final = 16 << 20
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


def dump_yaml(value: Any) -> str:
    """``value`` as a YAML document, mappings sorted by key; ``load_yaml`` gives the same value back.

    Raises:
        TypeError: something in the tree has no plain form.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Representer(SafeRepresenter):
        """Writes a value twice where it occurs twice, instead of a reference."""

        def ignore_aliases(self, data: Any) -> bool:
            del data
            return True

        def represent_text(self, data: str) -> Any:
            # What a reader would take for a line break is only safe as an escape.
            style = '"' if _BREAKS.search(data) else None
            return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    Representer.add_representer(str, Representer.represent_text)
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = Representer
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 1 << 16
    stream = io.StringIO()
    yaml.dump(_sorted(value), stream)
    return stream.getvalue()


def load_yaml(path: Path) -> Any:
    """The value in a YAML file written by ``dump_yaml``.

    Raises:
        StoreError: it is missing, unreadable, too large or not such YAML; the message names the file.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = read_bytes(path)
        if len(data) > MAX_BYTES:
            raise StoreError(f"the file has {len(data)} bytes, too many for a config.", where=str(path))
        if b"&" in data:
            _refuse_aliases(data.decode("utf-8"))
        return YAML(typ="safe", pure=True).load(data.decode("utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"the file cannot be read ({reason}).", where=str(path)) from error
    except (YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(
            f"the file is damaged: not YAML ({first}).", where=str(path), remedy="quadrat verify on its run."
        ) from error


def _refuse_aliases(document: str) -> None:
    from ruamel.yaml import YAML
    from ruamel.yaml.events import AliasEvent

    if any(isinstance(event, AliasEvent) for event in YAML(typ="safe", pure=True).parse(document)):
        raise ValueError("it holds references, which a config never does")


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {key: _sorted(item) for key, item in sorted(((_key(k), v) for k, v in items), key=_order)}
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_sorted(item) for item in cast("Iterable[Any]", value)]
    simple = plain(value)
    return value if simple is value else _sorted(simple)


def _key(key: Any) -> Any:
    return key if isinstance(key, bool | int | float) else text(str(key))


def _order(item: tuple[Any, Any]) -> tuple[str, str]:
    return type(item[0]).__name__, str(item[0])
