"""docs/reference/from-the-seeds.md: each row of its tables is run or looked up."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from quadrat import Artifact, Context, Metrics, Note
from quadrat.cli.main import program
from quadrat.logbook.own import fill_own
from quadrat.logbook.template import AUTO_FIELDS, HUMAN_FIELDS
from quadrat.study.config_sections import config_sections
from quadrat.study.load import load_study

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "src/quadrat_studies"
PAGE = (ROOT / "docs/reference/from-the-seeds.md").read_text(encoding="utf-8")
BILEVEL = ROOT / "tests/unit/logbook/templates/bilevel.md"
SMALL = {
    "bilevel": ("bilevel/smoke", "ste", ["epochs=1", "phys_start=0.0"]),
    "symmetry": ("symmetry/smoke", None, ["epochs=1", "axes={}", "arms={}", "baseline={}", "diagrams=[]"]),
    "inverse": ("symmetry/smoke", "inverse", ["epochs=1"]),
    "etrm": ("etrm/smoke", "standard", ["training.max_steps=10", "training.log_every=5"]),
    "fluxem": ("fluxem/smoke", "hybrid", ["training.epochs=1"]),
    "units": ("fluxem/units_smoke", "hybrid", ["training.epochs=1"]),
}


def _rows(title: str) -> list[list[str]]:
    """The rows of the table below a heading, cells without their code marks."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.split("\n") if re.match(r"\| \d{3} ", line)]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def _ids(title: str) -> list[str]:
    return [f"{row[0]}-{row[2].strip('`')}" for row in _rows(title)]


def _study(name: str, overrides: list[str]):
    """A study by its name, also where its package is not registered."""
    return load_study(STUDIES / f"{name}.yaml", overrides=overrides)


def flat(tree: BaseModel, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name in type(tree).model_fields:
        held = getattr(tree, name)
        found |= flat(held, f"{prefix}{name}.") if isinstance(held, BaseModel) else {f"{prefix}{name}": held}
    return found


@pytest.mark.parametrize("row", _rows("Commands"), ids=_ids("Commands"))
def test_a_command_is_one(row, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = shlex.split(row[2].strip("`"))
    assert words.pop(0) == "quadrat"
    context = click.Context(program, obj={"root": None}, **program.context_settings)
    command = program
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    parsed = command.make_context(command.name, list(words), parent=context)
    if command.name == "run":
        study = _study(parsed.params["study"], list(parsed.params["overrides"]))
        assert study.runs
        if "seeds=[42]" in row[2]:
            assert {run.seed for run in study.runs} == {42}


@pytest.fixture(scope="module")
def lab(tmp_path_factory, make_lab):
    """The toy, run, with its record."""
    lab = make_lab(tmp_path_factory.mktemp("seeds"))
    lab.write(steps=5)
    lab.quadrat("run", "toy.yaml", "seeds=[0]", "baseline={}", "axes.rate=[0.1]", "workers=1")
    lab.quadrat("record", "draft", "toy")
    return lab


@pytest.mark.parametrize("row", _rows("Files"), ids=_ids("Files"))
def test_a_file_is_there(row, lab):
    path = row[2].strip("`")
    if path.startswith("src/"):
        assert (ROOT / path).is_file()
        return
    place = path.replace("<run>", "results/toy/R0.1_S0").replace("<study>", "toy").replace("<date>", "*")
    assert list(lab.root.glob(place)), place


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A function: the metrics, files and derived parameters of a very short run of a study."""
    known: dict[str, tuple[set[str], set[str], set[str]]] = {}

    def of(name):
        if name not in known:
            known[name] = _shortest(name, tmp_path_factory.mktemp(name))
        return known[name]

    return of


def _shortest(name: str, folder: Path) -> tuple[set[str], set[str], set[str]]:
    study, arm, overrides = SMALL[name]
    loaded = _study(study, overrides)
    run = next(run for run in loaded.runs if run.point.arm == arm)
    config = loaded.trainable.config_class.model_validate(run.config)
    data, scratch = folder / "data", folder / "scratch"
    data.mkdir()
    scratch.mkdir()
    loaded.trainable.build_data(config, data)
    metrics: set[str] = set()
    files = {path.name for path in data.rglob("*")}
    derived: set[str] = set()
    for event in loaded.trainable.train(config, Context(seed=0, device="cpu", data=data, scratch=scratch)):
        if isinstance(event, Metrics):
            metrics |= set(event.values)
        elif isinstance(event, Artifact):
            files.add(event.name)
        elif isinstance(event, Note) and event.kind == "derived":
            derived |= set(event.data)
    return metrics, files, derived


@pytest.mark.parametrize("row", _rows("Metrics"), ids=_ids("Metrics"))
def test_a_metric_is_measured(row, measured):
    assert row[2].strip("`") in measured(row[3])[0]


@pytest.mark.parametrize("row", _rows("Files of the studies"), ids=_ids("Files of the studies"))
def test_a_file_of_a_study_is_written(row, measured):
    assert row[2].strip("`") in measured(row[3])[1]


def _options(name: str) -> set[str]:
    study, arm, overrides = SMALL[name]
    loaded = _study(study, overrides)
    run = next(run for run in loaded.runs if run.point.arm == arm)
    return set(flat(loaded.trainable.config_class.model_validate(run.config)))


@pytest.mark.parametrize(
    "row", [row for row in _rows("Options") if row[2] != "every flag by its name"], ids=lambda row: row[2].strip("`")
)
def test_an_option_is_a_key_or_a_derived_parameter(row, measured):
    key = row[2].strip("`")
    assert key in _options(row[3]) or key in measured(row[3])[2]


def test_every_flag_of_seed_000_is_filled_from_the_config_it_became():
    from quadrat_studies.bilevel.config import Config

    template = BILEVEL.read_text(encoding="utf-8")
    options = {key: held if not isinstance(held, tuple) else list(held) for key, held in flat(Config()).items()}
    facts = {
        "study": "bilevel_small_cpu",
        "seeds": [0, 1, 2],
        "config_common": options,
        "config_by_condition": {},
        "config_sections": config_sections(Config),
        "derived": {"all": {"k_max": 9, "macro_vocab_size": 12, "slot_count": 3}},
    }
    text = fill_own(template, facts).text
    flags = [line for line in text.split("\n") if re.match(r"\| (?:Eval )?`(?:--|k_max|macro_vocab|slot_count)", line)]
    assert len(flags) == template.count("`--") - text.count("Matches `--") + 3 - len(re.findall(r"overrides `--", text))
    blank = [line for line in flags if "____" in line]
    assert blank == []
    assert "| `--ste-topk` | n/a (only if ste_phys is true) |" in text
    assert "| `--seed` | 0, 1, 2 |" in text


NAMES = {field.name for field in (*AUTO_FIELDS, *HUMAN_FIELDS)}


@pytest.mark.parametrize("row", _rows("Fields of the record"), ids=_ids("Fields of the record"))
def test_a_field_is_one_of_the_record(row):
    assert row[2] in NAMES


@pytest.mark.parametrize("row", _rows("Rules of health"), ids=_ids("Rules of health"))
def test_a_rule_is_one_of_the_set(row):
    rules = (STUDIES / "etrm/rules.yaml").read_text(encoding="utf-8")
    assert re.search(rf"^- \{{id: {row[2].strip('`')},", rules, re.MULTILINE)


def test_the_page_names_every_seed_in_every_kind_it_has():
    assert {row[0] for row in _rows("Commands")} == {"000", "001", "002", "003", "004"}
    assert {row[0] for row in _rows("Metrics")} == {"000", "001", "002", "004"}
    assert {row[0] for row in _rows("Fields of the record")} == {"000", "002", "003"}
