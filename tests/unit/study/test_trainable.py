from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from quadrat.core.errors import UsageError
from quadrat.study.trainable import code_sha256, importable, resolve


def module(folder: Path, name: str, body: str) -> Path:
    path = folder / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(body)
    return path


SOUND = """
from pydantic import BaseModel
class Config(BaseModel):
    a: int = {a}
def train(config: Config, context):
    yield from ()
"""


def test_a_trainable_beside_the_file_is_found_and_the_path_left_as_it_was(place: Path):
    before = list(sys.path)
    found = resolve("toy:train", folders=[place])
    assert sys.path == before
    assert found.config_class.__name__ == "Config"
    assert found.config_class.model_fields["gamma"].default == 1.0
    assert found.build_data is None
    assert found.evaluate is None
    assert found.python_path == (place.resolve(),)


def test_a_string_annotation_is_resolved_in_the_module(place: Path):
    # toy.py has `from __future__ import annotations`, and `Event` cannot be resolved when it is hidden below.
    module(place, "hidden", "from typing import TYPE_CHECKING\nfrom pydantic import BaseModel\n"
           "if TYPE_CHECKING:\n    from nowhere import Event\nclass Config(BaseModel):\n    a: int = 1\n"
           "def train(config: 'Config', context: 'Event') -> 'Event':\n    yield from ()\n")  # fmt: skip
    assert resolve("hidden:train", folders=[place]).config_class.__name__ == "Config"


def test_optional_members_are_taken_from_the_same_module(place: Path):
    module(
        place, "full", SOUND.format(a=1) + "def build_data(config, folder): ...\ndef evaluate(config, context): ...\n"
    )
    found = resolve("full:train", folders=[place])
    assert found.build_data is not None
    assert found.evaluate is not None


def test_modules_of_one_name_in_two_folders_are_two(tmp_path: Path):
    for number in (1, 2):
        module(tmp_path / str(number), "experiment", f"import part\n{SOUND.format(a=number)}X = part.X\n")
        module(tmp_path / str(number), "part", f"X = {number}\n")
    for number in (1, 2, 1):
        found = resolve("experiment:train", folders=[tmp_path / str(number)])
        assert found.config_class.model_fields["a"].default == number
        assert found.module.__dict__["X"] == number


def test_what_is_installed_inside_the_folder_is_not_imported_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    module(tmp_path / "1" / ".venv", "installed_dep", "")
    monkeypatch.syspath_prepend(tmp_path / "1" / ".venv")
    for number in (1, 2):
        module(tmp_path / str(number), "experiment", f"import installed_dep\n{SOUND.format(a=number)}")
    before = resolve("experiment:train", folders=[tmp_path / "1"]).module.__dict__["installed_dep"]
    after = resolve("experiment:train", folders=[tmp_path / "2"]).module.__dict__["installed_dep"]
    assert before is after


def test_an_installed_module_needs_no_path(tmp_path: Path):
    with pytest.raises(UsageError, match="has no function"):
        resolve("json.decoder:train", folders=[tmp_path])


def test_a_folder_that_only_has_the_name_does_not_hide_a_module(tmp_path: Path):
    (tmp_path / "a" / "trial").mkdir(parents=True)
    module(tmp_path / "b", "trial", SOUND.format(a=5))
    found = resolve("trial:train", folders=[tmp_path / "a", tmp_path / "b"])
    assert found.config_class.model_fields["a"].default == 5


def test_packages_without_init_are_found(tmp_path: Path):
    module(tmp_path, "proj/deep/exp", SOUND.format(a=7))
    assert resolve("proj.deep.exp:train", folders=[tmp_path]).python_path == (tmp_path.resolve(),)


@pytest.mark.parametrize(
    ("body", "name", "words"),
    [
        (SOUND, "m:trian", "did you mean 'train'"),
        (SOUND, "m:Config", "does not take a config and a context"),
        (SOUND, "nothere:train", "no module 'nothere'"),
        (SOUND, "m.sub:train", "no module 'm.sub'"),
        (SOUND, "m", "does not name a trainable"),
        (SOUND, "m:train.x", "does not name a trainable"),
        (SOUND, "m:train()", "does not name a trainable"),
        (SOUND, "__import__('os'):system", "does not name a trainable"),
        (SOUND, "../m:train", "does not name a trainable"),
        ("import nowhere_at_all\n", "m:train", "needs the module 'nowhere_at_all'"),
        ("1/0\n", "m:train", "ZeroDivisionError: division by zero at"),
        ("def (:\n", "m:train", "SyntaxError"),
        ("raise SystemExit(3)\n", "m:train", "SystemExit"),
        ("def train(config, context): ...\n", "m:train", "not annotated with a pydantic model"),
        ("def train(config: dict, context): ...\n", "m:train", "not annotated with a pydantic model"),
        ("def train(config): ...\n", "m:train", "does not take a config and a context"),
        ("def train(a, b, c): ...\n", "m:train", "does not take a config and a context"),
        ("train = 3\n", "m:train", "has no function 'train'"),
    ],
)
def test_what_is_no_trainable(tmp_path: Path, body: str, name: str, words: str):
    module(tmp_path, "m", body.format(a=1) if "{a}" in body else body)
    with pytest.raises(UsageError) as caught:
        resolve(name, folders=[tmp_path])
    assert words in caught.value.paragraph()
    assert "\n" not in caught.value.paragraph()
    assert str(tmp_path) not in sys.path


def test_the_code_hash_of_a_single_file_is_that_file(tmp_path: Path):
    path = module(tmp_path, "solo", SOUND.format(a=1))
    found = resolve("solo:train", folders=[tmp_path])
    first = code_sha256(found)
    module(tmp_path, "other", "x = 1\n")
    assert code_sha256(found) == first
    path.write_text(SOUND.format(a=1) + "\n")
    assert code_sha256(found) != first


def test_the_code_hash_of_a_package_covers_all_of_its_code_and_no_more(tmp_path: Path):
    module(tmp_path, "pack/__init__", "")
    module(tmp_path, "pack/deep/__init__", "")
    module(tmp_path, "pack/deep/exp", SOUND.format(a=1))
    helper = module(tmp_path, "pack/model", "x = 1\n")
    found = resolve("pack.deep.exp:train", folders=[tmp_path])
    first = code_sha256(found)
    (tmp_path / "pack" / "notes.md").write_text("prose")
    module(tmp_path, "beside", "")
    assert code_sha256(found) == first
    helper.write_text("x = 2\n")
    second = code_sha256(found)
    assert second != first
    helper.rename(helper.with_name("models.py"))
    assert code_sha256(found) != second


def test_the_code_hash_does_not_depend_on_the_place(tmp_path: Path):
    hashes: set[str] = set()
    for folder in ("one", "two"):
        module(tmp_path / folder, "moved/__init__", "")
        module(tmp_path / folder, "moved/exp", SOUND.format(a=1))
        hashes.add(code_sha256(resolve("moved.exp:train", folders=[tmp_path / folder])))
    assert len(hashes) == 1


def test_importable_takes_back_what_it_added_even_after_an_error(tmp_path: Path):
    before = list(sys.path)

    def fail() -> None:
        with importable([tmp_path]):
            assert sys.path[0] == str(tmp_path)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert sys.path == before


def test_modules_that_answer_every_question_are_left_alone(place, monkeypatch):
    """torch.ops gives an object for any attribute, __file__ among them."""

    class Everything(ModuleType):
        def __getattr__(self, name: str) -> object:
            return object()

    monkeypatch.setitem(sys.modules, "answers_everything", Everything("answers_everything"))
    resolve("toy:train", folders=[place])
    (place / "other").mkdir()
    (place / "other" / "toy.py").write_text((place / "toy.py").read_text())
    assert resolve("toy:train", folders=[place / "other"]).python_path == ((place / "other").resolve(),)
