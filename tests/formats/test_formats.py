"""Schemas of the formats: their files equal the models' output, are installed, and are named in documents."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import documents
import pytest
from repository import ROOT

from fxpasses.errors import InputError
from fxpasses.formats.documents import checked, read_json
from fxpasses.formats.plain_values import DEEPEST, key_text, why_not_plain
from fxpasses.formats.recipes import Override, Quantize
from fxpasses.formats.schema_files import ENDING, FOLDER, models, schema_path, schema_text
from fxpasses.quantization.config import Override as ConfigOverride
from fxpasses.quantization.config import QuantConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.mark.parametrize("name", models())
def test_the_file_is_what_the_model_gives(name: str) -> None:
    """If it fails, run ``python -m fxpasses.formats.schema_files``."""
    assert schema_path(name).read_text(encoding="utf-8") == schema_text(models()[name])


def test_there_are_no_other_files() -> None:
    assert {path.name.removesuffix(ENDING) for path in FOLDER.glob(f"*{ENDING}")} == set(models())


def test_the_files_ship() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert f"formats/*{ENDING}" in tomllib.load(file)["tool"]["setuptools"]["package-data"]["fxpasses"]


def test_every_format_is_documented() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    assert [name for name in models() if f"{name}{ENDING}" not in text] == []
    for name, model in models().items():
        missing = [field for field in model.model_fields if f"`{field}`" not in text and field != "root"]
        assert missing == [], name


def test_recipes_have_the_fields_and_defaults_of_a_config() -> None:
    """The target is the exception: a recipe without one was written before "auto" existed."""
    recipe, config = Quantize().model_dump(), dataclasses.asdict(QuantConfig(target="x86"))
    assert recipe == config | {"overrides": []}
    override = Override(match="fc", keep_float=True).model_dump()
    assert override == dataclasses.asdict(ConfigOverride(match="fc", keep_float=True))


def test_documents_of_the_tests_fit() -> None:
    for name, document in (("report", documents.report()), ("labels", documents.labels())):
        checked(models()[name], document, Path(name), "x")


@pytest.mark.parametrize(
    ("document", "key", "why"),
    [
        ({"a": [1, {"b": float("nan")}]}, "a[1].b", "it is nan"),
        ({"a": 2**63}, "a", "more than 64 bits"),
        ({"a": "\ud800"}, "a", "half a surrogate pair"),
        ({"a": "x\0"}, "a", "null character"),
        ({3: 4}, "the whole document", "a key in it is a int"),
        ({"a": object()}, "a", "it is a object"),
    ],
)
def test_what_is_not_plain(document: object, key: str, why: str) -> None:
    found = why_not_plain(document)
    assert found is not None
    assert key_text(found[0]) == key
    assert why in found[1]


def test_depth() -> None:
    document: object = 1
    for _ in range(DEEPEST):
        document = [document]
    assert why_not_plain(document) is None
    found = why_not_plain([document])
    assert found is not None
    assert f"more than {DEEPEST} deep" in found[1]


def test_a_document_is_read_from_files_only(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert read_json(tmp_path / "a.json", "the file", "x") == {"a": 1}
    with pytest.raises(InputError, match=r"(?s)cannot read the file .*it is a folder"):
        read_json(tmp_path, "the file", "x")


def test_members_of_unions_are_no_keys(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"f: classes\[1\] = 3\n"):
        checked(models()["labels"], json.loads('{"classes": ["a", 3]}'), Path("f"), "x")
