"""The bench that writes studies is the one of the report's tests."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_SPEC = spec_from_file_location("report_bench", Path(__file__).parents[1] / "report" / "conftest.py")
_MODULE = module_from_spec(_SPEC)
__import__("sys").modules["report_bench"] = _MODULE
_SPEC.loader.exec_module(_MODULE)

bench, sums, written_sums = _MODULE.bench, _MODULE.sums, _MODULE.written_sums
half_grid, grid_table = _MODULE.half_grid, _MODULE.grid_table
