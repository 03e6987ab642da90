"""A command is words with fields; nothing in a value can make it more words or another program."""

from __future__ import annotations

import pytest

from quadrat.run.command_line import check, fields_of, fill


def test_every_field_is_filled_inside_its_word():
    values = {"lr": 0.001, "name": "two words; rm -rf $HOME", "on": True, "none": None, "list": [1, "a b"], "o.x": 3}
    words = fill("prog --lr={lr} {name} '{name} {lr:.1e}' {on} {none} {list} {o.x} {{kept}}", values)
    assert words == [
        "prog",
        "--lr=0.001",
        "two words; rm -rf $HOME",
        "two words; rm -rf $HOME 1.0e-03",
        "true",
        "null",
        '[1,"a b"]',
        "3",
        "{kept}",
    ]


def test_fields_are_named_once_in_order():
    assert fields_of("a {x} --k={y.z} {x:d}") == ("x", "y.z")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("prog {rat} {run_dir}", r"did you mean \{rate\}"),
        ("prog {run_dr} {rate}", r"did you mean \{run_dir\}"),
        ("prog", "key 'rate' is not passed on"),
        ("prog {", "cannot be read"),
        ('prog "{rate}', "cannot be read"),
        (" ", "is empty"),
        ("prog {} {rate}", "an empty field"),
    ],
)
def test_what_cannot_be_meant_is_refused(line, said):
    with pytest.raises(ValueError, match=said):
        check(line, {"rate": 1})


def test_what_can_be_meant_is_not():
    check("prog {rate} {seed} {run_dir} {optim.lr}", {"rate": 1, "optim": {"lr": 2}})
    check("prog {config}", {"rate": 1})
