"""The crate: every reference leads somewhere, every hash is so."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from urllib.parse import unquote

import pytest

from quadrat.core.errors import StoreError, UsageError
from quadrat.exports.crate_files import LARGEST
from quadrat.exports.ro_crate import RoCrateExporter
from quadrat.journal.seal import seal
from quadrat.run.imperative import start_run


@pytest.fixture
def crate(study, tmp_path, silent):
    """A function: the entities by identity, the folder."""

    def write():
        made = RoCrateExporter().write(study, tmp_path / "out", tick=silent)
        graph = json.loads((made.path / "ro-crate-metadata.json").read_text())["@graph"]
        found = {entity["@id"]: entity for entity in graph}
        assert len(found) == len(graph)
        return found, made.path

    return write


def references(value):
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_every_reference_is_an_entity(crate):
    entities, _ = crate()
    assert {name for entity in entities.values() for name in references(entity)} <= set(entities)


def test_every_file_is_there_with_its_hash_and_no_other(crate):
    entities, folder = crate()
    files = {unquote(name): entity for name, entity in entities.items() if entity["@type"] == "File"}
    inside = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert inside - {"ro-crate-metadata.json", "ro-crate-preview.html"} == set(files)
    for name, entity in files.items():
        content = (folder / name).read_bytes()
        assert entity["sha256"] == hashlib.sha256(content).hexdigest()
        assert entity["contentSize"] == str(len(content))
    assert {item["@id"] for item in entities["./"]["hasPart"]} == {
        name for name, entity in entities.items() if entity["@type"] == "File"
    }


def test_it_is_a_process_run_crate(crate, study):
    entities, _ = crate()
    assert entities["ro-crate-metadata.json"]["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert entities["./"]["conformsTo"] == {"@id": "https://w3id.org/ro/wfrun/process/0.5"}
    assert {"name", "description", "datePublished", "license"} <= set(entities["./"])
    actions = {name: item for name, item in entities.items() if item["@type"] == "CreateAction"}
    assert set(actions) == {"#run-fine", "#run-nan", "#run-failed"}
    assert set(actions) <= {item["@id"] for item in entities["./"]["mentions"]}
    for action in actions.values():
        assert entities[action["instrument"]["@id"]]["@type"] == "SoftwareApplication"
        start, end = (datetime.fromisoformat(action[key]) for key in ("startTime", "endTime"))
        assert start.tzinfo is not None
        assert start <= end
        objects = {item["@id"] for item in action["object"]}
        assert "#data-small-0123456789ab" in objects
        assert any(name.endswith("/config.yaml") for name in objects)
    status = {name: action["actionStatus"].rpartition("/")[2] for name, action in actions.items()}
    assert status["#run-failed"] == "FailedActionStatus"
    assert status["#run-fine"] == status["#run-nan"] == "CompletedActionStatus"
    assert actions["#run-failed"]["error"] == "failed: RuntimeError: the third run was told to fail"
    assert "error" not in actions["#run-fine"]


def test_what_is_large_stays_and_is_named_by_its_hash(crate, study):
    run = next(run for run in study.runs() if run.name == "fine")
    large = bytes(LARGEST + 1)
    (run.path / "model name.pt").write_bytes(large)
    seal(run)
    entities, folder = crate()
    told = entities["#absent-results/small/fine/model%20name.pt"]
    assert told["@type"] == "CreativeWork"
    assert told["sha256"] == hashlib.sha256(large).hexdigest()
    assert {"@id": told["@id"]} in entities["#run-fine"]["result"]
    assert not (folder / "results/small/fine/model name.pt").exists()
    page = (folder / "ro-crate-preview.html").read_text()
    assert "model name.pt" in page


def test_a_masked_file_says_so_and_has_its_own_hash(crate):
    entities, folder = crate()
    config = entities["results/small/fine/config.yaml"]
    assert "1 secrets were masked" in config["description"]
    assert config["sha256"] == hashlib.sha256((folder / "results/small/fine/config.yaml").read_bytes()).hexdigest()


def test_a_link_is_refused(crate, study, tmp_path):
    run = next(study.runs())
    (run.path / "link").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="link"):
        crate()
    assert not (tmp_path / "out").exists()


def test_a_study_at_work_is_refused(crate, study):
    with (
        start_run("small", "working", root=study.root),
        pytest.raises(UsageError, match=r"1 run is at work \(working\)"),
    ):
        crate()
    crate()
