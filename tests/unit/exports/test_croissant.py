"""The description of a data set."""

from __future__ import annotations

import hashlib
import json

import pytest

from quadrat.exports.croissant import CroissantExporter, field_type


@pytest.fixture
def described(study, tmp_path, silent):
    def describe():
        made = CroissantExporter().write(study, tmp_path / "out", tick=silent)
        return json.loads((made.path / "small-0123456789ab/croissant.json").read_text()), made

    return describe


def test_every_file_has_its_hash_and_size(described, study):
    told, made = described()
    assert told["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert told["@context"]["conformsTo"] == "dct:conformsTo"
    lies = study.root / "data/small-0123456789ab"
    for file in told["distribution"]:
        content = (lies / file["contentUrl"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert "md5" not in file
        assert (file["contentSize"], file["encodingFormat"]) == (f"{len(content)} B", "application/jsonlines")
    assert any("licence" in note for note in made.notes)


def test_fields_are_read_off_the_rows(described):
    told, _ = described()
    train = next(item for item in told["recordSet"] if item["@id"] == "train")
    kinds = {field["name"]: (field["dataType"], field.get("repeated", False)) for field in train["field"]}
    assert kinds == {
        "text": ("sc:Text", False),
        "length": ("sc:Integer", False),
        "share": ("sc:Float", False),
        "words": ("sc:Text", True),
    }
    assert "not described: deep" in train["description"]
    identities = [item["@id"] for item in told["distribution"]]
    identities += [part["@id"] for item in told["recordSet"] for part in (item, *item["field"])]
    assert len(identities) == len(set(identities))
    sources = {field["source"]["fileObject"]["@id"] for item in told["recordSet"] for field in item["field"]}
    assert sources <= set(identities)


def test_a_file_that_changed_is_described_without_fields(described, study):
    lies = study.root / "data/small-0123456789ab/train.jsonl"
    lies.write_bytes(lies.read_bytes() + b'{"more": 1}\n')
    told, made = described()
    assert [item["@id"] for item in told["recordSet"]] == ["test"]
    assert any("train.jsonl is not here as the runs used it" in note for note in made.notes)


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        ([1, 2.5], {"dataType": "sc:Float"}),
        ([True], {"dataType": "sc:Boolean"}),
        (["a", None], {"dataType": "sc:Text"}),
        (["a", 1], {"dataType": "sc:Text"}),
        ([[1], []], {"dataType": "sc:Integer", "repeated": True}),
        ([[[1]]], None),
        ([{"a": 1}], None),
        ([None], None),
    ],
)
def test_the_type_of_a_field(values, shape):
    assert field_type(values) == shape
