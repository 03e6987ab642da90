"""``python -m quadrat_studies.bilevel design ...``: a filter for a specification, from the command line."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FAMILIES = ("butterworth", "chebyshev", "elliptic", "bessel")
TYPES = ("lowpass", "highpass", "bandpass", "bandstop")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m quadrat_studies.bilevel", description="LC filter synthesis.")
    verbs = top.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("design", help="order, ladder, standard values and yield for a specification")
    verb.add_argument("--type", required=True, choices=TYPES, dest="kind")
    verb.add_argument("--f0", required=True, type=float, help="edge, or geometric centre of a band, Hz")
    verb.add_argument("--bw", type=float, help="fractional bandwidth (band filters)")
    verb.add_argument("--family", choices=FAMILIES, default="chebyshev")
    verb.add_argument("--order", default="auto", help="a number, or auto (default)")
    verb.add_argument("--ripple", type=float, help="greatest passband loss, dB")
    verb.add_argument("--stop", action="append", default=[], help="for example 40dB@1.3e9; may be repeated")
    verb.add_argument("--form", choices=("t", "pi"), default="t")
    verb.add_argument("--rs", type=float, default=50.0, help="source, ohm")
    verb.add_argument("--rl", type=float, default=50.0, help="load, ohm")
    verb.add_argument("--series", choices=("E12", "E24", "E96", "none"), default="E24")
    verb.add_argument("--tolerance", default="5%", help="of parts")
    verb.add_argument("--q-l", type=float, help="Q of inductors (with --q-c)")
    verb.add_argument("--q-c", type=float, help="Q of capacitors (with --q-l)")
    verb.add_argument("--draws", type=int, default=2000, help="Monte Carlo draws at most")
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--out", type=Path, help="folder for plot, Touchstone, SPICE, BOM and summary")
    verb.add_argument("--model", type=Path, help="a trained run, to compare its proposal")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb: 0 when ideal values meet the mask, 1 when not, 2 for a request that cannot be met."""
    given = parser().parse_args(arguments)
    try:
        return _design(given)
    except ValueError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2


def _design(given: argparse.Namespace) -> int:
    # torch takes a second to import; a misspelt option is answered before that.
    from quadrat_studies.bilevel.design import describe, design
    from quadrat_studies.bilevel.standard import written

    found = design(_request(given), draws=given.draws)
    request, prototype = found.request, found.prototype
    print(f"{request.kind}, {prototype.family}, order {prototype.order}, {request.form.upper()} form, "
          f"{request.rs:g} to {request.rl:g} ohm")  # fmt: skip
    ideal = {part.name: part for part in found.parts(found.ideal)}
    print(f"{'part':6}{'branch':8}{'nodes':14}{'ideal':>12}{'built':>12}")
    for part in found.parts(found.best):
        unit = "H" if part.kind == "L" else "F"
        print(f"{part.name:6}{part.branch:8}{'-'.join(part.nodes):14}{written(ideal[part.name].value, unit):>12}"
              f"{written(part.value, unit):>12}")  # fmt: skip
    for version in (found.ideal, found.standard):
        if version is not None:
            verdict = "meets the mask" if version.passes else f"misses the mask by {version.worst_db:.3g} dB"
            print(f"{version.name} values: {verdict}")
    yields = [(f"{found.best.name} values, {request.tolerance:.3g} tolerance", found.best.produced)]
    if found.best.produced_lossy is not None:
        yields.append((f"{found.best.name} values, finite Q as well", found.best.produced_lossy))
    print(describe(yields))
    summary = _compare(given, found)
    if given.out is not None:
        _write(given.out, found, summary)
    return 0 if found.ideal.passes else 1


def _request(given: argparse.Namespace) -> Any:
    from quadrat_studies.bilevel.design import Request, parse_share, parse_stop
    from quadrat_studies.bilevel.ladder import Loss

    banded = given.kind in ("bandpass", "bandstop")
    if banded and given.bw is None:
        raise ValueError(f"a {given.kind} filter needs a fractional bandwidth: add --bw 0.1")
    if (given.q_l is None) != (given.q_c is None):
        raise ValueError("finite Q needs both --q-l and --q-c")
    if given.order != "auto" and not given.order.isdigit():
        raise ValueError(f"an order is a number or auto, but got {given.order!r}")
    return Request(
        kind=given.kind,
        f0=given.f0,
        bw=given.bw if banded else 1.0,
        family=given.family,
        order=None if given.order == "auto" else int(given.order),
        ripple_db=given.ripple,
        stops=tuple(parse_stop(text) for text in given.stop),
        form=given.form,
        rs=given.rs,
        rl=given.rl,
        series=None if given.series == "none" else given.series,
        tolerance=parse_share(given.tolerance),
        loss=None if given.q_l is None else Loss(given.q_l, given.q_c),
        seed=given.seed,
    )


def _compare(given: argparse.Namespace, found: Any) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "type": found.request.kind,
        "family": found.prototype.family,
        "order": found.prototype.order,
        "ideal_passes": found.ideal.passes,
        "built": found.best.name,
        "built_passes": found.best.passes,
        "yield": found.best.produced.share,
        "yield_low": found.best.produced.low,
        "yield_high": found.best.produced.high,
        "draws": found.best.produced.draws,
        "reasons": dict(found.best.produced.reasons),
    }
    if given.model is None:
        return summary
    from quadrat_studies.bilevel.design import si_parts
    from quadrat_studies.bilevel.proposal import load_network, propose
    from quadrat_studies.bilevel.standard import written

    network, config = load_network(given.model)
    ladder, error, passes = propose(found, network, config=config)
    parts = si_parts(found.request, ladder)
    print(f"learned proposal: {len(parts)} parts beside {len(found.parts(found.ideal))}, "
          f"{'meets' if passes else 'misses'} the mask, {error:.3g} dB^2 from the analytic curve")  # fmt: skip
    print("  " + ", ".join(f"{p.name} {written(p.value, 'H' if p.kind == 'L' else 'F')}" for p in parts))
    return summary | {"learned_parts": len(parts), "learned_error_db2": error, "learned_passes": passes}


def _write(folder: Path, found: Any, summary: dict[str, Any]) -> None:
    from quadrat_studies.bilevel.export import passivity, plot, spice, write_bom, write_touchstone

    folder.mkdir(parents=True, exist_ok=True)
    best = found.best
    plot(folder / "response.png", found)
    write_touchstone(folder / "filter.s2p", found, version=best)
    (folder / "bench.cir").write_text(spice(found, version=best), encoding="utf-8")
    write_bom(folder / "bom.csv", found, version=best)
    power, defect = passivity(found, best)
    summary = summary | {"largest_power_sum": power, "unitarity_defect": defect}
    (folder / "summary.json").write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print(f"written to {folder}: response.png, filter.s2p, bench.cir, bom.csv, summary.json")


if __name__ == "__main__":
    sys.exit(main())
