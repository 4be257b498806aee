"""Recipes as TOML."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpasses.errors import InputError
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.sensitivity.search.recipe_file import Files, Recipe, read_recipe, recipe_toml, write_recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIG = QuantConfig(
    target="arm",
    observer="percentile:99.99",
    weight_search="mse",
    overrides=(Override("node:add_3", keep_float=True), Override('odd "name\\" \t\x7f é', observer="minmax")),
)
RESULT = {"qparams_sha256": "ab12", "drop": 0.1, "images": 500, "found_by": "x", "sizes": [1, 2]}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    recipe = Recipe(CONFIG, 128, 7, RESULT)
    write_recipe(tmp_path / "r.toml", recipe)
    assert read_recipe(tmp_path / "r.toml") == recipe
    assert read_recipe(tmp_path / "r.toml").qparams_sha256 == "ab12"


def test_settings_of_the_files_are_written_where_they_differ(tmp_path: Path) -> None:
    recipe = Recipe(CONFIG, files=Files(dynamic_size=True, opset=13))
    assert tomllib.loads(recipe_toml(recipe))["files"] == {"dynamic_size": True, "opset": 13}
    assert "files" not in tomllib.loads(recipe_toml(Recipe(CONFIG)))
    write_recipe(tmp_path / "r.toml", recipe)
    assert read_recipe(tmp_path / "r.toml") == recipe


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_survives(text: str) -> None:
    document = tomllib.loads(recipe_toml(Recipe(QuantConfig(overrides=(Override(text, keep_float=True),)))))
    assert document["quantize"]["overrides"][0]["match"] == text


def test_an_empty_recipe_is_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("")
    assert read_recipe(tmp_path / "r.toml") == Recipe(QuantConfig())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[quantize", "is no TOML"),
        ("format = 2", "has format 2"),
        ("[quantise]", "did you mean quantize"),
        ('[quantize]\nobservr = "minmax"', "did you mean observer"),
        ('[quantize]\nobserver = "minmix"', "did you mean 'minmax'"),
        ("[quantize]\nexact = 1", "it is a int, not a bool"),
        ("[[quantize.overrides]]\nkeep_float = true", "an override without match"),
        ('[[quantize.overrides]]\nmatch = "x"\nkeep_flot = true', "did you mean keep_float"),
        ("quantize = 3", "quantize is no table"),
        ("[files]\ndynamic = true", "did you mean dynamic_size"),
        ("[files]\nopset = 12", "greater than or equal to 13"),
        ('[files]\ndynamic_size = "yes"', "a valid boolean"),
        ('[quantize]\ntarget = "auto"', "another target on each machine"),
        ("[calibration]\nimages = true", "it is no whole number"),
    ],
)
def test_what_no_recipe_says(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_recipe(tmp_path / "r.toml")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the recipe"):
        read_recipe(tmp_path / "absent.toml")
