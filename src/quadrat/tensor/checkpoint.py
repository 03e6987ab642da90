"""Checkpoints without pickle: a tree of plain values in JSON, its tensors in safetensors.

``save`` splits a state into a JSON skeleton and named arrays; ``load`` joins them again. Tensors keep dtype
and shape, tuples stay tuples, integer dictionary keys stay integers (optimisers use them).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from quadrat.tensor.seeding import loaded_torch

STATE = "state.json"
TENSORS = "tensors.safetensors"
_TENSOR = '{"~": "tensor", '


def save(folder: Path, state: Mapping[str, Any]) -> None:
    """Write ``state`` into ``folder`` (which exists). Equal states give equal bytes.

    Raises:
        TypeError: the state holds something that is neither plain data, a numpy array nor a tensor; the
            message names its place in the tree.
    """
    arrays: dict[str, Any] = {}
    skeleton = _encode(state, "state", arrays)
    (folder / STATE).write_text(json.dumps(skeleton, allow_nan=False), encoding="utf-8")
    if arrays:
        _write_arrays(folder / TENSORS, arrays)


def load(folder: Path) -> dict[str, Any]:
    """Read back what ``save`` wrote. Tensors arrive on the CPU, as tensors also where nobody has imported torch yet."""
    text = (folder / STATE).read_text(encoding="utf-8")
    skeleton = json.loads(text)
    if _TENSOR in text:
        import_module("torch")
    path = folder / TENSORS
    return _decode(skeleton, _read_arrays(path) if path.exists() else {})


def _write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    torch = loaded_torch()
    if torch is None:
        from safetensors.numpy import save_file as save_numpy

        save_numpy(dict(arrays), path)
        return
    from safetensors.torch import save_file as save_torch

    # Clones, because safetensors refuses tensors that share memory (tied weights).
    save_torch({name: torch.as_tensor(a).detach().cpu().contiguous().clone() for name, a in arrays.items()}, path)


def _read_arrays(path: Path) -> dict[str, Any]:
    if loaded_torch() is None:
        from safetensors.numpy import load_file as load_numpy

        return dict(load_numpy(path))
    from safetensors.torch import load_file as load_torch

    return dict(load_torch(path))


def _is_tensor(value: Any) -> bool:
    torch = loaded_torch()
    return torch is not None and isinstance(value, torch.Tensor)


def _encode(value: Any, place: str, arrays: dict[str, Any]) -> Any:
    if _is_tensor(value) or isinstance(value, np.ndarray):
        arrays[place] = value
        return {"~": "tensor" if _is_tensor(value) else "array", "v": place}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"~": "float", "v": repr(value)}
    if isinstance(value, Mapping):
        return _encode_mapping(value, place, arrays)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        items = [_encode(item, f"{place}.{i}", arrays) for i, item in enumerate(value)]
        return {"~": "tuple", "v": items} if isinstance(value, tuple) else items
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__} at {place}")


def _encode_mapping(value: Mapping[Any, Any], place: str, arrays: dict[str, Any]) -> Any:
    if all(isinstance(key, str) and key != "~" for key in value):
        return {key: _encode(item, f"{place}.{key}", arrays) for key, item in value.items()}
    pairs: list[Any] = []
    for key, item in value.items():
        if not isinstance(key, int | str):
            raise TypeError(f"a checkpoint cannot hold the key {key!r} ({type(key).__name__}) at {place}")
        pairs.append([key, _encode(item, f"{place}.{key}", arrays)])
    return {"~": "map", "v": pairs}


def _decode(value: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "~" not in value:
        return {key: _decode(item, arrays) for key, item in value.items()}
    return _decode_marked(value["~"], value["v"], arrays)


def _decode_marked(kind: str, body: Any, arrays: Mapping[str, Any]) -> Any:
    match kind:
        case "tensor":
            return arrays[body]
        case "array":
            return np.asarray(arrays[body])
        case "float":
            return float(body)
        case "tuple":
            return tuple(_decode(item, arrays) for item in body)
        case "map":
            return {key: _decode(item, arrays) for key, item in body}
        case _:
            raise ValueError(f"a checkpoint holds the unknown mark {kind!r}")
