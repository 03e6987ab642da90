from __future__ import annotations

from quadrat.logbook import options
from quadrat.logbook.check import check
from quadrat.logbook.facts import NOT_RECORDED
from quadrat.logbook.record import draft, fill

SECTIONS = [
    {"key": "learning_rate", "section": "Training", "label": "--lr"},
    {"key": "warmup", "section": "Training", "label": "--warmup", "when": "amp is true"},
    {"key": "model.width", "section": "Model & Topology", "label": "--d-model"},
    {"key": "model.kind", "section": "Model & Topology"},
    {"key": "parameter_count", "section": "Model & Topology", "derived": True},
    {"key": "batch_size", "section": "Training", "label": "--batch-size", "when": "model.kind is hybrid"},
]


def _row(text, name):
    (line,) = [line for line in text.split("\n") if line.startswith(f"| `{name}` ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_option_is_in_the_config_block(facts):
    text = options.config(facts)
    for key in [*facts["config_common"], "model.kind", "model.width"]:
        assert f"`{key}`" in text
    assert "| `note`          | `a\\|b`  |" in text


def test_declared_sections_hold_their_options_in_the_order_declared(facts):
    facts["config_sections"] = SECTIONS
    text = options.config(facts)
    assert text.index("**Training**") < text.index("**Model & Topology**") < text.index("Options of no section")
    assert _row(text, "--lr") == ["`--lr`", "`learning_rate`", "`0.001`"]
    assert _row(text, "--d-model")[2] == "token_only: `128`; hybrid: `96`"
    assert "`note`" in text.split("Options of no section")[1]
    assert "`learning_rate`" not in text.split("Options of no section")[1].split("Set apart")[0]


def test_an_option_without_effect_says_under_which_condition_it_would_have_one(facts):
    facts["config_sections"] = SECTIONS
    text = options.config(facts)
    assert _row(text, "--warmup")[2] == "n/a (only if amp is true)"
    assert _row(text, "--batch-size")[2] == "token_only: n/a (only if model.kind is hybrid); hybrid: `32`"


def test_a_derived_parameter_is_a_row_of_its_section(facts):
    facts["derived"] = {"all": {"parameter_count": 7}}
    facts["config_sections"] = SECTIONS
    assert _row(options.config(facts), "parameter_count") == ["`parameter_count`", "derived", "`7`"]


def test_a_declared_mapping_is_one_row_and_none_of_no_section(facts):
    facts["config_common"] |= {"data.families.bessel": 0.5, "data.families.elliptic": 1}
    facts["config_sections"] = [{"key": "data.families", "section": "Data"}]
    text = options.config(facts)
    assert _row(text, "data.families")[2] == '`{"bessel": 0.5, "elliptic": 1}`'
    assert "families.bessel" not in text
    assert options.unanswered(facts) == []


def test_a_declared_option_without_a_value_is_named(facts, answer):
    facts["config_sections"] = [*SECTIONS[:4], {"key": "gone", "section": "Training"}]
    assert options.unanswered(facts) == ["gone"]
    assert NOT_RECORDED in options.config(facts)
    (finding,) = check(answer(draft(facts)), facts)
    assert (finding.rule, finding.field) == ("R1", "Config snapshot")
    assert "gone" in finding.reason
    facts["config_sections"][-1]["when"] = "amp is true"
    assert options.unanswered(facts) == []


def test_many_conditions_are_not_squeezed_into_a_cell(facts):
    facts["config_by_condition"] = {f"n={n}": {"n": n} for n in range(9)}
    facts["config_sections"] = [{"key": "n", "section": "Model"}]
    text = options.config(facts)
    assert _row(text, "n")[2] == "varies, see below"
    assert "| n=8" in text


def test_few_conditions_are_columns_and_many_are_rows():
    few = options.matrix({"a": {"x": 1}, "b": {"y": 2}}, baselines=["b"])
    assert few.split("\n")[0].split() == ["|", "Option", "|", "a", "|", "b", "(baseline)", "|"]
    assert few.count("n/a") == 2
    many = options.matrix({f"c{i}": {"x": i} for i in range(30)})
    assert many.split("\n")[0].split() == ["|", "Condition", "|", "`x`", "|"]
    assert len(many.split("\n")) == 32


def test_the_baseline_is_marked(facts):
    assert "| token_only (baseline) |" in options.config({**facts, "baseline": "token_only"})
    assert "| hybrid (baseline) |" in options.config({**facts, "baselines": {"": "hybrid"}})
    assert "(baseline)" not in options.config(facts)


def test_changes_from_the_baseline_are_config_code_and_data(facts):
    facts["changes"] = [
        {
            "condition": "hybrid",
            "baseline": "token_only",
            "config": [{"key": "model.kind", "from": "token_only", "to": "hybrid"}, {"key": "extra", "to": 1}],
            "code": ["commit 0123 to 4567"],
            "data": [],
        }
    ]
    text = options.config(facts)
    (line,) = [line for line in text.split("\n") if line.startswith("| hybrid ")]
    assert "`model.kind` `token_only` to `hybrid`; `extra` absent to `1`" in line
    assert "commit 0123 to 4567" in line
    assert line.rstrip("| ").endswith("none")
    assert "Changes from baseline: none" in options.config({**facts, "changes": []})


def test_a_record_by_sections_is_filled_and_checks_clean(facts, answer):
    facts["config_sections"] = SECTIONS
    facts["derived"] = {"all": {"parameter_count": 7}}
    text = answer(draft(facts))
    assert check(text, facts) == []
    assert fill(text, facts).text == text


def test_nothing_and_not_recorded_are_told_apart():
    assert options.config({}) == options.derived({}) == NOT_RECORDED
    assert options.config({"config_common": {}}) == "none"
    assert options.derived({"derived": {}}) == "none"
