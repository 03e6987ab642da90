from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.study.nodes import wrap
from quadrat.study.stages import ordered, stage_problems


@dataclass(frozen=True)
class Part:
    name: str
    needs: tuple[str, ...] = ()


def complaints(*parts: Part) -> list[str]:
    root = wrap({"stages": [{"name": part.name, "needs": list(part.needs)} for part in parts]}, "s.yaml:1")
    return [problem.what for problem in stage_problems(parts, root)]


def test_the_order_of_the_file_is_kept_where_it_can_be():
    assert ordered([Part("c", ("a",)), Part("b"), Part("a")]) == ["b", "a", "c"]
    assert ordered([Part("a"), Part("b", ("a",)), Part("c")]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([Part("a", ("a",))], "needs itself"),
        ([Part("a", ("b",)), Part("b", ("a",))], "a -> b -> a need each other"),
        ([Part("x", ("a",)), Part("a", ("b",)), Part("b", ("c",)), Part("c", ("a",))], "a -> b -> c -> a"),
        ([Part("overfit"), Part("full", ("overfitt",))], "unknown stage 'overfitt'"),
        ([Part("a"), Part("A")], "two stages are called 'A'"),
        ([Part("../x")], "cannot be used"),
    ],
)
def test_what_is_wrong_with_stages(parts: list[Part], words: str):
    assert any(words in line for line in complaints(*parts))


def test_nothing_is_wrong_with_a_chain():
    assert complaints(Part("a"), Part("b", ("a",)), Part("c", ("a", "b"))) == []


@given(st.lists(st.integers(0, 9), min_size=1, max_size=10), st.randoms())
def test_every_stage_comes_after_what_it_needs(links: list[int], order):
    # Each stage needs one with a smaller number, so there is no circle.
    parts = [Part(f"s{i}", (f"s{link % i}",) if i else ()) for i, link in enumerate(links)]
    order.shuffle(parts)
    done = ordered(parts)
    assert len(done) == len(parts)
    assert all(done.index(need) < done.index(part.name) for part in parts for need in part.needs)
