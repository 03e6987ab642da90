"""Checkpoints keep every value, type and bit, and equal states give equal bytes."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from quadrat.tensor import checkpoint


def _round_trip(folder, state):
    checkpoint.save(folder, state)
    return checkpoint.load(folder)


def test_an_optimiser_comes_back_as_it_was(tmp_path):
    model = torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.8, 0.99))
    model(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    back = _round_trip(tmp_path, {"model": model.state_dict(), "optimiser": optimiser.state_dict()})
    other = torch.optim.AdamW(torch.nn.Linear(3, 2).parameters(), lr=1.0)
    other.load_state_dict(back["optimiser"])
    assert other.param_groups[0]["betas"] == (0.8, 0.99)
    assert list(back["optimiser"]["state"]) == [0, 1]
    for name, tensor in model.state_dict().items():
        assert torch.equal(back["model"][name], tensor)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int64, torch.bool, torch.uint8])
def test_dtypes_are_kept(tmp_path, dtype):
    tensor = torch.tensor([[0, 1], [1, 0]]).to(dtype)
    back = _round_trip(tmp_path, {"x": tensor})["x"]
    assert back.dtype == dtype
    assert torch.equal(back, tensor)


def test_plain_values_are_kept(tmp_path):
    state = {
        "none": None, "flag": True, "big": 2**70, "text": "a~b", "list": [1, (2, 3)], "map": {1: "one", "~": 2},
        "inf": math.inf, "array": np.arange(3, dtype=np.int16), "scalar": np.float32(0.5), "empty": {},
    }  # fmt: skip
    back = _round_trip(tmp_path, state)
    assert np.array_equal(back.pop("array"), state.pop("array"))
    assert back == state
    assert isinstance(back["list"][1], tuple)


def test_nan_comes_back_as_nan(tmp_path):
    assert math.isnan(_round_trip(tmp_path, {"x": math.nan})["x"])


def test_tied_weights_are_saved(tmp_path):
    weight = torch.ones(2)
    back = _round_trip(tmp_path, {"a": weight, "b": weight, "view": weight[:1]})
    assert torch.equal(back["a"], back["b"])


def test_equal_states_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        checkpoint.save(tmp_path / name, {"w": torch.arange(5.0), "step": 3})
    for file in (checkpoint.STATE, checkpoint.TENSORS):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize(("state", "place"), [({"a": {"b": object()}}, "state.a.b"), ({"f": [1, b"x"]}, "state.f.1")])
def test_what_cannot_be_kept_is_refused_by_place(tmp_path, state, place):
    with pytest.raises(TypeError, match=place.replace(".", r"\.")):
        checkpoint.save(tmp_path, state)


def test_tensors_are_tensors_in_a_process_that_has_not_imported_torch(tmp_path):
    checkpoint.save(tmp_path, {"w": torch.ones(2), "a": np.ones(2)})
    asked = (
        "import sys; from pathlib import Path; from quadrat.tensor.checkpoint import load; "
        "assert 'torch' not in sys.modules; state = load(Path(sys.argv[1])); "
        "print(type(state['w']).__module__, type(state['a']).__module__)"
    )
    done = subprocess.run([sys.executable, "-c", asked, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["torch", "numpy"]
