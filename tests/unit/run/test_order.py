"""The work order comes back from disk as it was written."""

from __future__ import annotations

import pytest

from quadrat.core.errors import StoreError
from quadrat.core.spec import Point, Resources, RunSpec
from quadrat.run import order

SPEC = RunSpec(
    study="toy", stage=None, name="R0.5_S0", trainable="quadrat.testing.toy:train", config={"steps": 3},
    seed=0, point=Point({"rate": 0.5}, arm="a"), identity="abc",
)  # fmt: skip


def test_round_trip(tmp_path):
    told = order.WorkOrder(
        spec=SPEC,
        resources=Resources(threads=2, memory=2**30),
        keep=order.Keep(5.0, "steps", ("last", "best"), "acc", "min"),
        rules=({"id": "a", "metric": "b", "fail": "< 1"}, "nonfinite"),
        python_path=("x",),
        allow_drift=True,
        argv=("quadrat", "run"),
    )
    order.write(tmp_path / "job", [told, told])
    assert order.read(tmp_path / "job") == [told, told]


def test_no_order_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match=r"job\.json"):
        order.read(tmp_path)
