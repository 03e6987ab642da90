"""Figures: what is drawn, that it is the same every time, and that nothing written in them can break a page."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from quadrat.analyze.stats import t_interval
from quadrat.core.verdicts import Status
from quadrat.report.drawing import available
from quadrat.report.figures import Bundle, Curve, Dots, draw_curves, draw_dots, envelope, mean_curve

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "_<script>$x_1$ & \x00\"'"


def curve(values, *, seed=0, status=Status.COMPLETED, steps=None):
    values = np.array(values, dtype=np.float64)
    steps = np.arange(values.size) if steps is None else np.array(steps)
    return Curve(seed=seed, status=status, steps=steps.astype(np.int64), values=values)


def bundle(*curves, label="arm", number=0, planned=None):
    return Bundle(number=number, label=label, planned=planned or len(curves), curves=curves)


def texts(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_matplotlib_is_here():
    assert available()


def test_the_mean_and_its_band():
    found = mean_curve([curve([1, 2]), curve([2, 4]), curve([3, 9])])
    assert found.mean.tolist() == [2.0, 5.0]
    for place, values in enumerate(([1, 2, 3], [2, 4, 9])):
        estimate = t_interval(values)
        assert found.half[place] == pytest.approx(estimate.high - estimate.mean)
    assert found.count.tolist() == [3, 3]


def test_there_is_no_band_where_a_seed_is_gone_or_not_a_number():
    found = mean_curve([curve([1, 2, 3]), curve([2, math.nan, 4]), curve([3, 4])])
    assert found.count.tolist() == [3, 2, 2]
    assert np.isfinite(found.half).tolist() == [True, False, False]
    assert found.mean.tolist() == [2.0, 3.0, 3.5]


def test_two_seeds_have_a_mean_and_no_band():
    found = mean_curve([curve([1, 2]), curve([2, 4])])
    assert found.mean.tolist() == [1.5, 3.0]
    assert not np.isfinite(found.half).any()


def test_seeds_with_other_steps_are_matched_by_step():
    found = mean_curve([curve([1, 2], steps=[0, 10]), curve([3, 5], steps=[10, 20])])
    assert found.steps.tolist() == [0, 10, 20]
    assert found.mean.tolist() == [1.0, 2.5, 5.0]
    assert found.count.tolist() == [1, 2, 1]


def test_a_thinned_line_keeps_its_peaks_and_ends():
    values = np.zeros(100_000)
    values[[777, 54_321]] = 9.0, -7.0
    steps, kept = envelope(np.arange(100_000), values)
    assert steps.size < 500
    assert {9.0, -7.0} <= set(kept.tolist())
    assert (steps[0], steps[-1]) == (0, 99_999)


def test_a_thinned_line_of_nothing_but_nan_is_survived():
    steps, kept = envelope(np.arange(5000), np.full(5000, math.nan))
    assert steps.size
    assert np.isnan(kept).all()


def test_the_legend_says_n_and_which_band():
    three = bundle(*(curve([3 - seed, 2, 1], seed=seed) for seed in range(3)), label="hybrid")
    said = " ".join(texts(draw_curves("train/loss", [three]).svg()))
    assert "hybrid (n = 3)" in said
    assert "band: 95 % t interval of the mean" in said
    assert "thin: every seed; thick: mean" in said


def test_no_band_is_promised_where_none_is_drawn():
    said = " ".join(texts(draw_curves("loss", [bundle(curve([1, 2]), curve([2, 3]))]).svg()))
    assert "thick: mean" in said
    assert "band" not in said


def test_runs_without_a_curve_are_said_to_be_missing():
    said = " ".join(texts(draw_curves("loss", [bundle(curve([1, 2]), label="a", planned=3)]).svg()))
    assert "a (n = 3, 1 drawn)" in said


def test_every_seed_is_drawn():
    def lines(count):
        svg = draw_curves("loss", [bundle(*(curve([seed, 1, 2 + seed]) for seed in range(count)))]).svg()
        return len(re.findall("stroke-opacity: 0.5; stroke-width: 0.7", svg))

    assert lines(5) - lines(3) == 2


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (math.nan, "on the frame: not a number"),
        (math.inf, "on the frame: infinite"),
        (-math.inf, "on the frame: infinite"),
    ],
)
def test_numbers_that_are_none_are_marked_on_the_frame(bad, said):
    marked = " ".join(texts(draw_curves("loss", [bundle(curve([1.0, bad, 2.0]))]).svg()))
    clean = " ".join(texts(draw_curves("loss", [bundle(curve([1.0, 1.5, 2.0]))]).svg()))
    assert said in marked
    assert said not in clean


def test_how_a_run_ended_is_marked():
    ends = [curve([1, 2], status=Status.FAILED), curve([2, 3], status=Status.STOPPED)]
    said = " ".join(texts(draw_curves("loss", [bundle(*ends)]).svg()))
    assert "failed here" in said
    gone = draw_curves("loss", [bundle(curve([1, 2], status=Status.LOST))]).svg()
    assert "failed or lost here" in " ".join(texts(gone))
    assert "stopped here by a rule" in said


def test_a_metric_that_is_never_finite_is_survived():
    assert "<svg" in draw_curves("loss", [bundle(curve([math.nan] * 3), curve([math.inf] * 3))]).svg()


def test_many_conditions_stand_side_by_side():
    many = [bundle(curve([1, 2]), label=f"gamma={place}", number=place) for place in range(9)]
    drawing = draw_curves("loss", many)
    assert drawing.is_wide
    said = texts(drawing.svg())
    assert all(f"gamma={place}" in said for place in range(9))


def test_a_span_of_decades_gets_a_logarithmic_axis_in_plain_numbers():
    said = texts(draw_curves("loss", [bundle(curve([1000.0, 1.0, 0.01]))]).svg())
    assert "0.01" in said
    assert "$" not in "".join(filter(None, said))
    assert "0.01" not in texts(draw_curves("loss", [bundle(curve([1000.0, 1.0, -0.01]))]).svg())


def dots(values, **more):
    return Dots(**{"number": 0, "label": "arm", "estimate": t_interval(values), **more})


def test_dots_show_every_seed_and_say_what_is_not_measured():
    drawing = draw_dots("acc", [dots([0.5, 0.6, math.nan]), dots([0.1, 0.2, 0.3], number=1, kind="baseline")])
    said = " ".join(texts(drawing.svg()))
    assert "n = 3, 1 not measured" in said
    assert "arm (baseline)" in said
    assert "0.1 to" not in drawing.title
    assert "mean 0.55, n = 3" in drawing.title


def test_dots_on_a_logarithmic_axis_with_an_interval_below_zero():
    assert "<svg" in draw_dots("error", [dots([0.001, 5.0, 300.0]), dots([math.inf, 1.0])]).svg()


@pytest.mark.parametrize("draw", [draw_dots, draw_curves])
def test_figures_are_the_same_bytes_every_time(draw):
    def drawn():
        some = (
            [dots([1, 2, 4])] if draw is draw_dots else [bundle(curve([1, 2, 4]), curve([2, 2, 3]), curve([1, 1, 1]))]
        )
        drawing = draw("acc", some)
        return drawing.svg(), drawing.png(), drawing.inline("f")

    assert drawn() == drawn()


@pytest.mark.parametrize("draw", [draw_dots, draw_curves])
def test_figures_carry_no_date_and_no_outside_reference(draw):
    svg = draw("acc", [dots([1, 2, 4])] if draw is draw_dots else [bundle(curve([1, 2]))]).svg()
    assert "<dc:date>" not in svg
    assert re.findall(r'(?:xlink:)?href="(?!#)', svg) == []
    assert set(re.findall(r"url\((.)", svg)) <= {"#"}
    assert "matplotlib.org" not in svg


@pytest.mark.parametrize("draw", [draw_dots, draw_curves])
def test_names_are_shown_as_they_are_and_break_nothing(draw):
    some = [dots([1, 2, 4], label=NASTY)] if draw is draw_dots else [bundle(curve([1, 2]), label=NASTY)]
    drawing = draw(NASTY, some)
    shown = NASTY.replace("\x00", "\ufffd")
    for svg in (drawing.svg(), drawing.inline("f")):
        tree = ElementTree.fromstring(
            svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', "xmlns=" not in svg)
        )
        assert not list(tree.iter(f"{SVG}script"))
        assert any(shown in (node.text or "") for node in tree.iter(f"{SVG}text"))


def test_an_inlined_figure_follows_the_page():
    drawing = draw_curves("loss", [bundle(curve([1, 2]), label="a")])
    inline = drawing.inline("one")
    assert "var(--series-0)" in inline
    assert not re.search("#(?:0072b2|ffffff|16181d)", inline)
    assert "DejaVu" not in inline
    assert "<style" not in inline
    assert 'role="img"' in inline
    assert f'<title id="one-title">{drawing.title}' in inline
    ids = re.findall(r' id="([^"]*)"', inline)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("one-") for name in ids)
    assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', inline)) <= set(ids)


def test_a_person_s_own_matplotlib_settings_change_nothing():
    import matplotlib as mpl

    plain = draw_dots("acc", [dots([1, 2, 4])]).svg()
    with mpl.rc_context({"font.size": 30, "xtick.direction": "in", "axes.xmargin": 0.4, "svg.fonttype": "path"}):
        assert draw_dots("acc", [dots([1, 2, 4])]).svg() == plain
