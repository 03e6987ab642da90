"""The data sets of a study in Croissant 1.0 (MLCommons): one ``<data set>/croissant.json`` each.

The file belongs beside the data: every ``contentUrl`` is relative to it, so copy it into the data's folder, or both
to where they shall be published. Each file has its SHA-256 and size. JSON-lines and CSV files also have a record set
whose fields are read off their first rows, if the file is here and still what the runs used. Licence, creator and
address are not known to Quadrat.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final, final

from quadrat.analyze.table import read_declaration
from quadrat.exports.base import Tick, Written, staged
from quadrat.exports.datasets import DataFile, DataSet, data_sets
from quadrat.exports.secrecy import shielded
from quadrat.exports.tables import kind_of
from quadrat.journal.atomic import dumps, open_regular
from quadrat.journal.layout import StudyFolder
from quadrat.journal.tail import first_rows

CONFORMS: Final = "http://mlcommons.org/croissant/1.0"
FORMATS: Final = {
    ".jsonl": "application/jsonlines",
    ".ndjson": "application/jsonlines",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".txt": "text/plain",
    ".parquet": "application/x-parquet",
    ".npz": "application/zip",
    ".zip": "application/zip",
    ".png": "image/png",
}
KINDS: Final[Mapping[type, str]] = {str: "sc:Text", int: "sc:Integer", float: "sc:Float", bool: "sc:Boolean"}
_TERMS: Final = (
    "citeAs column conformsTo dataBiases dataCollection equivalentProperty extract field fileProperty fileObject "
    "fileSet format includes isLiveDataset jsonPath key md5 parentField path personalSensitiveInformation recordSet "
    "references regex repeated replace samplingRate separator source subField transform"
)
_LOOK: Final = 1000
"""Rows from which the fields of a file are read off."""

_LONGEST: Final = 1 << 20
_BLANKS: Final = "licence, creator and url are not known here: fill them in before you publish."


@final
class CroissantExporter:
    """A folder with ``<data set>/croissant.json``."""

    @property
    def ending(self) -> str:
        """The folder's ending."""
        return "-croissant"

    def write(self, study: StudyFolder, target: Path, *, tick: Tick) -> Written:
        """Describe each data set.

        Raises:
            UsageError: no run names data, beside the reasons of every export.
        """
        found = data_sets(study)
        question = read_declaration(study.lock_json, damage=[]).text("question")
        notes: list[str] = []
        done, total = 0, sum(len(data.files) for data in found)
        with staged(target) as stage:
            for data in found:
                records: list[dict[str, Any]] = []
                for file in data.files:
                    records += _record_set(study.root, data, file, notes=notes)
                    done += 1
                    tick(done, total)
                told, masked = shielded(_description(study.name, data, question=question))
                named, more = shielded(records)
                document = told | ({"recordSet": named} if named else {})
                stage.put(f"{data.name}/croissant.json", dumps(document))
                stage.count(f"{data.name}/croissant.json", masked + more)
        return stage.written(target, *notes, _BLANKS)


def context() -> dict[str, Any]:
    """The JSON-LD context that Croissant 1.0 asks for."""
    plain: dict[str, Any] = {term: f"cr:{term}" for term in _TERMS.split()}
    plain |= {"@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/"}
    plain |= {"cr": "http://mlcommons.org/croissant/", "dct": "http://purl.org/dc/terms/"}
    plain |= {"rai": "http://mlcommons.org/croissant/RAI/", "conformsTo": "dct:conformsTo"}
    plain |= {"data": {"@id": "cr:data", "@type": "@json"}, "examples": {"@id": "cr:examples", "@type": "@json"}}
    return plain | {"dataType": {"@id": "cr:dataType", "@type": "@vocab"}}


def _description(study: str, data: DataSet, *, question: str | None) -> dict[str, Any]:
    asked = f" Its question: {question}" if question else ""
    many = f"{len(data.runs)} runs" if len(data.runs) > 1 else "1 run"
    return {
        "@context": context(),
        "@type": "sc:Dataset",
        "name": data.name,
        "conformsTo": CONFORMS,
        "description": f"The data used by {many} of the study {study}. Content hash {data.sha256}.{asked}",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": file.path,
                "name": PurePosixPath(file.path).name,
                "contentUrl": file.path,
                "contentSize": f"{file.size} B",
                "encodingFormat": FORMATS.get(PurePosixPath(file.path).suffix, "application/octet-stream"),
                "sha256": file.sha256,
            }
            for file in data.files
        ],
    }


def _record_set(root: Path, data: DataSet, file: DataFile, *, notes: list[str]) -> list[dict[str, Any]]:
    """The record set of a file of rows; none for other files, or where its rows cannot be seen."""
    read = _READERS.get(PurePosixPath(file.path).suffix)
    if read is None:
        return []
    path = data.find(root, file)
    if path is None:
        notes.append(f"{data.folder}/{file.path} is not here as the runs used it: described without its fields.")
        return []
    rows = list(islice(read(path), _LOOK))
    names = dict.fromkeys(name for row in rows for name in row)
    fields: list[dict[str, Any]] = []
    left: list[str] = []
    identity = str(PurePosixPath(file.path).with_suffix(""))
    for name in names:
        shape = field_type([row.get(name) for row in rows])
        if shape is None:
            left.append(name)
            continue
        source = {"fileObject": {"@id": file.path}, "extract": {"column": name}}
        fields.append({"@type": "cr:Field", "@id": f"{identity}/{name}", "name": name, **shape, "source": source})
    if not fields:
        return []
    nested = f" Nested and not described: {', '.join(left)}." if left else ""
    told = f"The rows of {file.path}; fields and types as in its first {len(rows)} rows.{nested}"
    return [{"@type": "cr:RecordSet", "@id": identity, "name": identity, "description": told, "field": fields}]


def field_type(values: list[Any]) -> dict[str, Any] | None:
    """``dataType``, and ``repeated`` for lists; None for what is nested deeper or never there."""
    seen = [value for value in values if value is not None]
    if not seen or any(isinstance(value, Mapping) for value in seen):
        return None
    if not any(isinstance(value, list) for value in seen):
        return {"dataType": KINDS[kind_of(seen)]}
    items = [item for value in seen for item in (value if isinstance(value, list) else [value]) if item is not None]
    if any(isinstance(item, Mapping | list) for item in items):
        return None
    return {"dataType": KINDS[kind_of(items) if items else str], "repeated": True}


def _json_rows(path: Path) -> Iterator[dict[str, Any]]:
    yield from first_rows(path, limit=_LONGEST)


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    with open_regular(path) as file:
        head = file.read(_LONGEST)
    lines = head.decode("utf-8", "replace").splitlines(keepends=True)[: None if len(head) < _LONGEST else -1]
    for row in csv.DictReader(lines, restkey="", restval=""):
        yield {name: _parsed(cell) for name, cell in row.items() if name}


def _parsed(cell: Any) -> Any:
    for kind in (int, float):
        try:
            return kind(cell)
        except (TypeError, ValueError):
            continue
    return cell or None


_READERS: Final = {".jsonl": _json_rows, ".ndjson": _json_rows, ".csv": _csv_rows}
