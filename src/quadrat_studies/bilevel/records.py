"""Circuits as JSONL: one strict JSON object per line, from which curves and masks follow.

The keys are the seed's where it has them. A reader needs ``macro_ir_macros``, ``ideal_components`` and the
specification; ``real_components`` are what was bought. Frequencies and curves are written on request only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from quadrat import UsageError
from quadrat_studies.bilevel.bands import TYPES
from quadrat_studies.bilevel.config import DataConfig
from quadrat_studies.bilevel.macros import IDS, MACROS
from quadrat_studies.bilevel.masks import Specs
from quadrat_studies.bilevel.netlist import parts
from quadrat_studies.bilevel.samples import FAMILIES, Samples, cells_of, si_scale, tensors
from quadrat_studies.bilevel.standard import label, snap


def rows_of(samples: Samples, split: str) -> Iterator[dict[str, Any]]:
    """One record for each circuit."""
    data = samples.data
    scale = si_scale(samples.ids, samples.fc, data.z0)
    ideal, bought = samples.x.exp() * scale, samples.x_real.exp() * scale
    discrete = snap(ideal, data.series)
    columns = [part.tolist() for part in (samples.ids, samples.x, ideal, discrete, bought, samples.fc)]
    specs = [getattr(samples.specs, name).tolist() for name in ("d", "pass_db", "stop_edge", "stop_db")]
    kinds, orders, families = samples.kind_names(), samples.order.tolist(), samples.family.tolist()
    curves = _curves(samples) if data.curves else None
    for i in range(len(samples)):
        ids, x, ideal_row, discrete_row, real_row, fc = (column[i] for column in columns)
        d, pass_db, stop_edge, stop_db = (column[i] for column in specs)
        net = parts(cells_of(ids, x))
        row: dict[str, Any] = {
            "sample_id": f"{split}_{i}",
            "filter_type": kinds[i],
            "prototype_type": FAMILIES[families[i]],
            "order": orders[i],
            "ripple_db": pass_db,
            "fc_hz": fc,
            "z0": data.z0,
            "bw_frac": d if kinds[i].startswith("band") else None,
            "passband_min_db": -pass_db,
            "stopband_max_db": -stop_db,
            "stop_edge": stop_edge,
            "num_L": sum(part.kind == "L" for part in net),
            "num_C": sum(part.kind == "C" for part in net),
            "macro_ir_macros": [MACROS[macro].token for macro in ids if macro < len(MACROS)],
        }
        for name, values in (("ideal", ideal_row), ("discrete", discrete_row), ("real", real_row)):
            row[f"{name}_components"] = [
                {
                    "ctype": part.kind,
                    "role": part.branch,
                    "value_si": values[part.cell][part.slot],
                    "node1": part.nodes[0],
                    "node2": part.nodes[1],
                }
                | ({"std_label": label(part.kind, values[part.cell][part.slot])} if name == "discrete" else {})
                for part in net
            ]
        yield row | (curves[i] if curves else {})


def _curves(samples: Samples) -> list[dict[str, Any]]:
    mask = samples.mask(margin=0.0)
    columns = {
        "freq_hz": samples.w * samples.fc[:, None],
        "ideal_s21_db": samples.ideal[0],
        "ideal_s11_db": samples.ideal[1],
        "real_s21_db": samples.real[0],
        "real_s11_db": samples.real[1],
        "mask_min_db": mask.low,
        "mask_max_db": mask.high,
    }
    # Strict JSON has no NaN: null says that nothing is asked for.
    lists = {
        name: [[None if value != value else value for value in row] for row in part.tolist()]  # noqa: PLR0124
        for name, part in columns.items()
    }
    return [{name: rows[i] for name, rows in lists.items()} for i in range(len(samples))]


def write_rows(path: Path, samples: Samples, *, split: str) -> None:
    """Write a split."""
    encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
    lines = (encode(row) + "\n" for row in rows_of(samples, split))
    path.write_text("".join(lines), encoding="utf-8")


def read_rows(path: Path, data: DataConfig) -> Samples:
    """The circuits of a file.

    Raises:
        UsageError: the file is missing, or a line cannot be used; the message names it.
    """
    if not path.is_file():
        raise UsageError(
            "there is no such file of circuits.", where=str(path), remedy="build the data, or name a file."
        )
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            rows.append(_parsed(json.loads(line)))
        except (ValueError, KeyError, TypeError, IndexError) as problem:
            raise UsageError(
                f"this line is no circuit: {problem}",
                where=f"{path}:{number}",
                remedy="write it again with build_data.",
            ) from problem
    if not rows:
        raise UsageError("the file holds no circuit.", where=str(path), remedy="build the data again.")
    return _joined(rows, data)


def _parsed(row: dict[str, Any]) -> dict[str, Any]:
    ids = [IDS[token] for token in row["macro_ir_macros"]]
    fc, z0 = float(row["fc_hz"]), float(row["z0"])
    if not ids:
        raise ValueError("a circuit needs at least one macro")
    found: dict[str, Any] = {"kind": TYPES.index(row["filter_type"]), "family": FAMILIES.index(row["prototype_type"])}
    for name in ("ideal", "real"):
        values = iter(row[f"{name}_components"])
        found[name] = [
            (macro, tuple(_dimensionless(next(values), kind, fc=fc, z0=z0) for kind in MACROS[macro].slots))
            for macro in ids
        ]
    numbers = {
        "fc": fc,
        "order": int(row["order"]),
        "d": float(row["bw_frac"] or 1.0),
        "pass_db": float(row["ripple_db"]),
        "stop_edge": float(row["stop_edge"]),
        "stop_db": -float(row["stopband_max_db"]),
    }
    if not all(math.isfinite(value) for value in numbers.values()):
        raise ValueError("a number of the specification is not finite")
    return found | numbers


def _dimensionless(component: dict[str, Any], kind: str, *, fc: float, z0: float) -> float:
    value = float(component["value_si"])
    if component["ctype"] != kind or not 0 < value < math.inf:
        raise ValueError(f"expected a positive {kind}, but got {component['ctype']} = {value}")
    return value * 2 * math.pi * fc * (z0 if kind == "C" else 1 / z0)


def _joined(rows: Sequence[dict[str, Any]], data: DataConfig) -> Samples:
    ids, x = tensors([row["ideal"] for row in rows])
    _, bought = tensors([row["real"] for row in rows])

    def column(name: str) -> torch.Tensor:
        values = [row[name] for row in rows]
        return torch.tensor(values, dtype=torch.float64 if isinstance(values[0], float) else torch.long)

    pass_db, stop_db = column("pass_db"), column("stop_db")
    margin = torch.zeros(len(rows), dtype=torch.float64)
    specs = Specs(column("kind"), column("d"), pass_db, column("stop_edge"), stop_db, margin)
    return Samples(ids, x, bought, specs, column("fc"), column("order"), column("family"), data)
