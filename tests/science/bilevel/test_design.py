"""The designer's command: what it prints, what it writes, and that others read the same filter out of it."""

from __future__ import annotations

import csv
import json
import re
import warnings

import numpy as np
import pytest
import torch

from quadrat_studies.bilevel.__main__ import main
from quadrat_studies.bilevel.design import Request, choose, design, parse_share, parse_stop, sensitivities
from quadrat_studies.bilevel.export import spice
from quadrat_studies.bilevel.ladder import Loss

BANDPASS = ["design", "--type", "bandpass", "--f0", "1e9", "--bw", "0.1", "--order", "auto", "--ripple", "0.2",
            "--stop", "40dB@1.3e9", "--series", "E24", "--tolerance", "5%", "--draws", "200"]  # fmt: skip


def nodal(netlist: str, hertz: float) -> complex:
    """V(out) sqrt(Rs/Rl) of a bench by nodal analysis, straight from its text."""
    parts, source, load = [], 0.0, 0.0
    out = next(line.split()[1] for line in netlist.splitlines() if line.startswith("RL "))
    for line in netlist.splitlines():
        words = line.split()
        if len(words) == 4 and words[0][0] in "LCR":
            parts.append((words[0], words[1], words[2], float(words[3])))
        source = float(words[3]) if words and words[0] == "RS" else source
        load = float(words[3]) if words and words[0] == "RL" else load
    nodes = sorted({node for _, a, b, _ in parts for node in (a, b)} - {"0", "source"})
    y = np.zeros((len(nodes), len(nodes)), dtype=complex)
    current = np.zeros(len(nodes), dtype=complex)
    s = 2j * np.pi * hertz
    for name, a, b, value in parts:
        admittance = {"L": lambda v: 1 / (s * v), "C": lambda v: s * v, "R": lambda v: 1 / v}[name[0]](value)
        for first, second in ((a, b), (b, a)):
            if first in nodes:
                y[nodes.index(first), nodes.index(first)] += admittance
                if second in nodes:
                    y[nodes.index(first), nodes.index(second)] -= admittance
    current[nodes.index("in")] = 2 / source
    return complex(np.linalg.solve(y, current)[nodes.index(out)]) * (source / load) ** 0.5


@pytest.mark.parametrize(("kind", "family", "loss", "rl"), [("lowpass", "elliptic", None, 50.0),
    ("bandstop", "butterworth", Loss(60, 90, "fixed_ref"), 50.0), ("highpass", "chebyshev", None, 75.0)])  # fmt: skip
def test_the_bench_is_the_same_circuit(kind, family, loss, rl):
    found = design(Request(kind, 1e9, 0.2, family=family, order=3, ripple_db=0.3, rl=rl, loss=loss, stops=((30.0, 2e9),)
                           if family == "elliptic" else ()), draws=20)  # fmt: skip
    netlist = spice(found, version=found.best)
    curves = found.curves(found.best).s21[0]
    for index in (3, 150, 300):
        hertz = float(found.w[index]) * 1e9
        assert nodal(netlist, hertz) == pytest.approx(complex(curves[index]), rel=1e-6, abs=1e-9)
    assert "VS source 0 DC 0 AC 2" in netlist and netlist.endswith(".end\n")


def test_the_command_of_the_handbook(tmp_path, capsys):
    assert main([*BANDPASS, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "chebyshev, order 3" in said and "ideal values: meets the mask" in said
    assert re.search(r"yield .*%  \[.*%, .*%\]  of \d+ draws", said)
    assert {p.name for p in tmp_path.iterdir()} == {
        "response.png",
        "filter.s2p",
        "bench.cir",
        "bom.csv",
        "summary.json",
    }
    assert (tmp_path / "response.png").read_bytes()[:4] == b"\x89PNG"
    rows = list(csv.DictReader((tmp_path / "bom.csv").read_text().splitlines()))
    assert [row["part"] for row in rows] == ["L1", "C1", "L2", "C2", "L3", "C3"]
    assert all(row["series"] == "E24" and float(row["db_per_percent"]) > 0 for row in rows)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["order"] == 3 and summary["ideal_passes"] and summary["unitarity_defect"] < 1e-9
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import skrf

        network = skrf.Network(str(tmp_path / "filter.s2p"))
    about = design(Request("bandpass", 1e9, 0.1, ripple_db=0.2, stops=((40.0, 1.3e9),)), draws=20)
    mine = about.curves(about.best)
    assert network.s[:, 1, 0] == pytest.approx(mine.s21[0].numpy(), abs=1e-12)
    assert network.s[:, 0, 0] == pytest.approx(mine.s11[0].numpy(), abs=1e-12)
    assert network.is_reciprocal() and network.is_passive()


def test_the_automatic_order_is_the_smallest(tmp_path):
    for family, order in (("butterworth", 4), ("chebyshev", 3), ("elliptic", 3)):
        request = Request("bandpass", 1e9, 0.1, family=family, ripple_db=0.2, stops=((40.0, 1.3e9),))
        found = choose(request)
        assert found.order == order or (family == "butterworth" and found.order <= 5)
        assert float(found.attenuation_db(np.array(request.selectivity(1.3e9)))) >= 40.0 - 1e-6
        if found.order > 3:
            fewer = type(found)(found.family, found.order - 1, found.edge_db, found.stop_db)
            assert float(fewer.attenuation_db(np.array(request.selectivity(1.3e9)))) < 40.0


@pytest.mark.parametrize(("more", "said"), [
    (["--stop", "much"], "40dB@1.3e9"), (["--tolerance", "x"], "5% or 0.05"), (["--order", "three"], "number or auto"),
    (["--q-l", "50"], "both"), (["--stop", "40dB@1.01e9"], "outside the passband"), (["--rl", "-1"], "positive"),
])  # fmt: skip
def test_what_cannot_be_met_is_said_in_one_paragraph(capsys, more, said):
    assert main([*BANDPASS, *more]) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and error.count("\n") == 1


def test_missing_pieces_are_asked_for(capsys):
    assert main(["design", "--type", "bandpass", "--f0", "1e9", "--order", "3"]) == 2
    assert "--bw" in capsys.readouterr().err
    assert main(["design", "--type", "lowpass", "--f0", "1e9"]) == 2
    assert "stopband" in capsys.readouterr().err


def test_words_are_read():
    assert parse_stop("40dB@1.3e9") == (40.0, 1.3e9)
    assert parse_stop(" 60 db @ 2e8 Hz") == (60.0, 2e8)
    assert (parse_share("5%"), parse_share("0.02")) == (0.05, 0.02)


def test_sensitivities_are_differences():
    found = design(Request("lowpass", 1e9, order=3, ripple_db=0.3, series=None), draws=20)
    name, slope = max(sensitivities(found), key=lambda pair: pair[1])
    place = [part.name for part in found.parts(found.ideal)].index(name)
    x = found.ideal.ladder.x.clone()
    x[0, place, 0] += 1e-5
    from quadrat_studies.bilevel.ladder import decibels, power

    moved = decibels(power(found.ideal.ladder.with_values(x), found.w)[0]) - decibels(
        power(found.ideal.ladder, found.w)[0]
    )
    inside = ~found.mask.low[0].isnan()
    assert float(moved[0, inside].abs().max()) / 1e-5 * 0.01 == pytest.approx(slope, rel=1e-3)


def test_a_networks_proposal_stands_beside_the_analytic_one(drive, tmp_path, capsys):
    run = drive({"phys_weight": 0.0, "refine_steps": 20})
    run.artifacts["model.safetensors"](tmp_path / "model.safetensors")
    arguments = ["design", "--type", "lowpass", "--f0", "1e9", "--order", "3", "--series", "none", "--draws", "20"]
    assert main([*arguments, "--model", str(tmp_path)]) == 0
    assert re.search(r"learned proposal: \d parts beside 3", capsys.readouterr().out)
    assert main([*arguments, "--model", str(tmp_path / "none")]) == 2
    assert "no trained network" in capsys.readouterr().err
    assert torch.get_num_threads() >= 1
