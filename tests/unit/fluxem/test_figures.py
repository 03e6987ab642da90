"""The pictures: every number and mark is there, outlines stand where training was, names are text, bytes repeat."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from quadrat_studies.fluxem.figures import (
    LEVELS,
    WIDTH,
    draw_errors,
    draw_ladder,
    draw_ladders,
    draw_magnitude,
    draw_samples,
    main,
)

SPACE = "{http://www.w3.org/2000/svg}"
ODD = "<b>&\u2028"


def picture(text):
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img" and root.find(f"{SPACE}title").text
    assert not list(root.iter(f"{SPACE}script"))
    assert "nan" not in text and "inf" not in text
    return root


def texts(root):
    return [part.text for part in root.iter(f"{SPACE}text")]


def marks(root, tag, look):
    return [part for part in root.iter(f"{SPACE}{tag}") if look in (part.get("class") or "").split()]


def squares(score, *, digits=3, operations=("add",), trained=lambda i, j: max(i, j) <= 2):
    return [
        {"operation": operation, "digits_left": i, "digits_right": j, "trained": trained(i, j),
         "items": 50, "correct": 0, "exact_match": score(i, j)}
        for operation in operations for i in range(1, digits + 1) for j in range(1, digits + 1)
    ]  # fmt: skip


def rungs(*scores, trained=1):
    return [
        {"operands": i + 2, "trained": i < trained, "items": 50, "correct": 0, "exact_match": score}
        for i, score in enumerate(scores)
    ]


def strata(*scores, operation):
    return [
        {"operation": operation, "digits": 5, "carries": i, "trained": False, "items": 9, "correct": 0,
         "exact_match": score}
        for i, score in enumerate(scores)
    ]  # fmt: skip


def wrong(kind, many, *, split="test_id", text="1 + 2", target="3", prediction="4"):
    return {"split": split, "kind": kind, "of_this_kind": many, "items": 200, "id": "x", "text": text,
            "target": target, "prediction": prediction}  # fmt: skip


def test_every_cell_shows_the_mean_over_seeds():
    first = squares(lambda i, j: (10 * i + j) / 100)
    second = squares(lambda i, j: (10 * i + j + 2) / 100)
    root = picture(draw_magnitude({"arm": [first, second]}, title="Digits"))
    shown = texts(root)
    means = [f".{10 * i + j + 1}" for i in (1, 2, 3) for j in (1, 2, 3)]
    assert [text for text in shown if text in means] == means
    assert "arm: add" in shown and any("mean over 2 seeds" in text for text in shown)
    tiles = marks(root, "rect", "c")[5:]  # five are the key
    assert len(tiles) == 9 and len({tile.get("fill") for tile in tiles}) == 9
    darkness = [sum(bytes.fromhex(tile.get("fill")[1:])) for tile in tiles]
    assert darkness == sorted(darkness, reverse=True)


def test_arms_and_operations_have_a_map_each():
    one = squares(lambda i, j: 0.5, operations=("add", "subtract", "multiply"))
    root = picture(draw_magnitude({f"arm{n}": [one] for n in range(14)}, title="Digits"))
    assert len(marks(root, "rect", "c")) == 5 + 14 * 27
    places = [part.get("transform") for part in root.iter(f"{SPACE}g")]
    assert {f"arm{n}: {name}" for n in range(14) for name in ("add", "subtract", "multiply")} <= set(texts(root))
    edges = [float(x) for x in re.findall(r"translate\((\S+) ", " ".join(places))]
    assert max(edges) < WIDTH - 200, "a map does not reach beyond the picture"


@pytest.mark.parametrize(
    ("trained", "sides"),
    [
        (lambda i, j: max(i, j) <= 2, 8),
        (lambda i, j: i == 1, 8),
        (lambda i, j: i == j == 2, 4),
        (lambda i, j: i == j, 12),
    ],
    ids=["square", "row", "cell", "diagonal"],
)
def test_the_outline_is_the_border_of_what_training_could_show(trained, sides):
    root = picture(draw_magnitude({"arm": [squares(lambda i, j: 0.5, trained=trained)]}, title="Digits"))
    key, outline = marks(root, "path", "o")
    assert key.get("d").count("M") == 4
    assert outline.get("d").count("M") == sides


def test_nothing_trained_is_said_and_not_outlined():
    root = picture(draw_ladder({"arm": [strata(0.5, operation="add")]}, rung="carries", title="Carries"))
    assert not marks(root, "path", "o")
    assert "Training could have shown none of these problems." in texts(root)


def test_only_what_is_0_or_1_is_printed_so():
    scores = (1, 0.996, 0.5, 0.004, 0)
    shown = texts(picture(draw_ladder({"arm": [rungs(*scores)]}, rung="operands", title="Operands")))
    at = shown.index("arm")
    assert [text for text in shown[at:] if text not in "23456"][-5:] == ["1", ">.99", ".50", "<.01", "0"]


def test_a_ladder_shows_each_seed_the_mean_and_the_trained_rung():
    tables = {"arm": [rungs(1, 0.5, 0), rungs(0.8, 0.3, 0), rungs(0.6, 0.1, 0)], "other": [rungs(0.25, 0.25, 0.25)]}
    root = picture(draw_ladder(tables, rung="operands", title="Operands"))
    assert len(marks(root, "circle", "d")) == 9 + 3
    assert len(marks(root, "polyline", "t")) == 4 and len(marks(root, "polyline", "a")) == 2
    shown = texts(root)
    assert {".80", ".30", ".25", "2", "3", "4", "arm", "other"} <= set(shown)
    mean, _ = marks(root, "polyline", "a")
    heights = [float(point.partition(",")[2]) for point in mean.get("points").split()]
    dots = [[float(d.get("cy")) for d in marks(root, "circle", "d")[n : n + 3]] for n in (0, 3, 6)]
    assert heights == pytest.approx(np.mean(dots, 0), abs=0.1) and heights == sorted(heights)
    assert len({d.get("cx") for d in marks(root, "circle", "d")[:9]}) == 9, "seeds that agree are seen apart"
    _, *outlines = marks(root, "path", "o")
    assert len(outlines) == 2 and all(outline.get("d").count("M") == 4 for outline in outlines)


def test_carries_have_a_panel_for_each_operation_and_say_how_long_operands_are():
    rows = strata(0.1, 0.2, operation="add") + strata(0.3, operation="subtract")
    shown = texts(picture(draw_ladder({"arm": [rows]}, rung="carries", title="Carries")))
    assert {"arm: add", "arm: subtract", ".10", ".20", ".30"} <= set(shown)
    assert any("operands of 5 digits" in text for text in shown)


def test_the_ladders_of_a_run_stand_in_one_picture():
    ladders = {
        "magnitude": {"arm": [squares(lambda i, j: 0.11)]},
        "operands": {"arm": [rungs(0.22)]},
        "carries": {"arm": [strata(0.33, operation="add")]},
    }
    assert {".11", ".22", ".33"} <= set(texts(picture(draw_ladders(ladders, title="All"))))


def samples(*arms):
    rng = np.random.default_rng(1)
    return {arm: ([100, 1000, 10_000], rng.random((3, 3)) * [0.2, 0.6, 1]) for arm in arms}


def test_samples_show_every_seed_mean_interval_and_level():
    ladders = samples("chars", "residues")
    root = picture(draw_samples(ladders, title="Samples"))
    assert len(marks(root, "path", "seed")) == 2 * 9
    assert len(marks(root, "path", "mean")) == 2 * (3 + 1), "each size, and the key"
    assert len(marks(root, "path", "i")) == 2 * 3
    assert len(marks(root, "path", "l")) == len(LEVELS)
    shown = texts(root)
    assert {"100", "1,000", "10,000", ".90", ".99", "chars", "residues"} <= set(shown)
    for _, scores in ladders.values():
        for column in scores.T:
            half = 4.302653 * column.std(ddof=1) / 3**0.5
            assert f"{column.mean():.3f}" in shown
            assert f"[{column.mean() - half:.3f}, {column.mean() + half:.3f}]" in shown
    dashes = [line.get("stroke-dasharray") for line in marks(root, "polyline", "j")[::2]]
    shapes = [mark.get("d") for mark in marks(root, "path", "mean")[3::4]]
    assert len(set(dashes)) == len(set(shapes)) == 2


def test_sizes_are_spaced_by_their_logarithms_and_bars_end_at_the_frame():
    scores = np.array([[0.0, 0.5, 1.0], [1.0, 0.5, 0.0]])
    root = picture(draw_samples({"arm": ([100, 1000, 10_000], scores)}, title="Samples"))
    places = [float(t.get("x")) for t in root.iter(f"{SPACE}text") if t.text in ("100", "1,000", "10,000")]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)
    bars = [[float(n) for n in re.findall(r"V?(-?[\d.]+)", bar.get("d"))] for bar in marks(root, "path", "i")]
    assert all(40 <= numbers[1] <= 400 for numbers in bars)
    assert "[-5.853, 6.853]" in texts(root), "what is cut in the picture is printed whole"


def test_one_seed_has_no_interval_and_no_size_no_picture():
    root = picture(draw_samples({"arm": ([100], np.array([[0.5]]))}, title="Samples"))
    assert not marks(root, "path", "i") and "seeds: 1" in texts(root)
    assert "Nothing was measured." in texts(picture(draw_samples({}, title="Samples")))


def test_many_arms_differ_in_dash_mark_or_fill():
    root = picture(draw_samples(samples(*map(str, range(10))), title="Samples"))
    keys = marks(root, "path", "mean")[3::4]
    assert len({(key.get("d"), key.get("fill")) for key in keys}) == 10


def test_errors_are_counted_by_split_and_kind_with_examples():
    rows = [wrong("digits", 40, text="12 + 1"), wrong("digits", 40, text="13 + 1"), wrong("sign", 7, prediction="")]
    rows.append(wrong("dimension", 3, split="ood", text="Convert 1e0 m to cm", target="1e2 cm", prediction="1e2 s"))
    shown = texts(picture(draw_errors({"arm": rows, "perfect": []}, title="Errors")))
    assert {"test_id: 47 of 200 wrong", "40 of 200", "7 of 200", "ood: 3 of 200 wrong", "12 + 1", "13 + 1"} <= set(
        shown
    )
    assert {"(nothing)", "Convert 1e0 m to cm", "1e2 cm", "1e2 s", "dimension"} <= set(shown)
    assert shown.index("perfect") + 1 == shown.index("No wrong answer.")
    fewer = picture(draw_errors({"arm": rows}, title="Errors", examples=1))
    assert "12 + 1" in texts(fewer) and "13 + 1" not in texts(fewer)
    widths = [float(bar.get("width")) for bar in marks(fewer, "rect", "q")]
    assert widths == pytest.approx([110 * many / 200 for many in (40, 7, 3)], abs=0.1)


def test_long_answers_are_cut_and_odd_ones_are_text():
    rows = [wrong(ODD, 1, text=f"{ODD}\x00\x1b", prediction="9" * 500)]
    root = picture(draw_errors({ODD: rows}, title=ODD))
    assert any((text or "").startswith("<b>&") for text in texts(root))
    assert max(len(text) for text in texts(root)) < 100
    assert not list(root.iter(f"{SPACE}b"))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: draw_magnitude({ODD: [squares(lambda i, j: i / 7)]}, title=ODD),
        lambda: draw_ladder({ODD: [rungs(0.1, 1 / 3)] * 2}, rung="operands", title=ODD),
        lambda: draw_samples(samples(ODD, "b"), title=ODD),
        lambda: draw_errors({ODD: [wrong(ODD, 3)]}, title=ODD),
    ],
    ids=["magnitude", "ladder", "samples", "errors"],
)
def test_the_same_tables_give_the_same_bytes_and_names_are_text(draw):
    assert draw() == draw()
    root = picture(draw())
    assert not list(root.iter(f"{SPACE}b"))
    assert root.find(f"{SPACE}title").text.startswith("<b>&")


@pytest.mark.parametrize("tables", [{}, {"arm": []}, {"arm": [[]]}], ids=["no arm", "no seed", "no row"])
def test_empty_tables_are_pictures_that_say_so(tables):
    for text in (
        draw_magnitude(tables, title="Digits"),
        draw_ladder(tables, rung="operands", title="Operands"),
        draw_ladders({"carries": tables}, title="Carries"),
    ):
        assert "Nothing was measured." in texts(picture(text))
    assert "Nothing was measured." in texts(picture(draw_errors({}, title="Errors")))


def leave(folder, **tables):
    (folder / "artifacts" / "tables").mkdir(parents=True)
    for name, rows in tables.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "artifacts" / "tables" / f"{name}.jsonl").write_text(text, encoding="utf-8")


def test_the_command_draws_what_a_study_left_and_says_where(tmp_path, capsys):
    results = tmp_path / "study"
    for seed, score in ((7, 0.2), (8, 0.4)):
        tables = {"magnitude": squares(lambda i, j, s=score: s), "operands": rungs(score)}
        leave(results / f"chars_S{seed}", **tables, errors=[wrong(f"kind{seed}", 3)])
    leave(results / ".evaluations" / "chars_S9", operands=rungs(0.99))
    leave(results / "notes", operands=rungs(0.98))
    assert main([str(results)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [str(results / "figures" / f"{name}.svg") for name in ("magnitude", "operands", "errors")]
    root = picture((results / "figures" / "operands.svg").read_text(encoding="utf-8"))
    assert ".30" in texts(root) and len(marks(root, "circle", "d")) == 2
    shown = texts(picture((results / "figures" / "errors.svg").read_text(encoding="utf-8")))
    assert {"chars, seed 7", "kind7"} <= set(shown) and "kind8" not in shown
    before = {path: path.read_bytes() for path in (results / "figures").iterdir()}
    assert main([str(results)]) == 0
    assert before == {path: path.read_bytes() for path in (results / "figures").iterdir()}


def test_the_command_draws_a_sample_ladder(tmp_path, capsys):
    for size, score in ((100, 0.5), (1000, 1.0)):
        for seed in (1, 2):
            folder = tmp_path / f"n{size}" / f"chars_S{seed}"
            leave(folder, errors=[wrong("sign", 3)])
            scores = {"token_only": {"test_id": {"exact_match": score}}}
            (folder / "artifacts" / "evaluation_results.json").write_text(json.dumps(scores))
    assert main([str(tmp_path), "--into", str(tmp_path / "there")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "there" / f"{n}.svg") for n in ("errors", "samples")]
    shown = texts(picture((tmp_path / "there" / "errors.svg").read_text(encoding="utf-8")))
    assert shown.index("n100/chars, seed 1") < shown.index("n1000/chars, seed 1")
    assert main([str(tmp_path), "--split", "other"]) == 2
    assert "a split 'other'" in capsys.readouterr().err


def test_a_folder_without_any_of_it_is_one_sentence_and_2(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "missing"):
        assert main([str(folder)]) == 2
        told = capsys.readouterr()
        assert not told.out and told.err.startswith(f"error: {folder} holds no run") and told.err.count("\n") == 1
        assert not (folder / "figures").exists()
