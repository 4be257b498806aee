"""Names that may be used in generated Python, and names that may not."""

from __future__ import annotations

import pytest

from fxpasses.export.pt2_records import names
from fxpasses.export.pt2_records.records import RefusedError


@pytest.mark.parametrize("name", ["x", "input_1", "_tensor_constant0", "b_a_int8_weight", "X" * 256])
def test_identifiers(name: str) -> None:
    assert names.identifier(name, "x") == name


@pytest.mark.parametrize(
    "name",
    ["", "1x", "a.b", "a-b", "x=1", "x\n", "class", "self", "torch", "getattr", "None", "__class__", "__x", "größe",
     "ｘ", "X" * 257, None, 7],
)  # fmt: skip
def test_no_identifiers(name: object) -> None:
    with pytest.raises(RefusedError, match="no name a saved graph has; reading it may run code") as caught:
        names.identifier(name, "an argument")
    assert "someone you trust" in caught.value.fix


@pytest.mark.parametrize("path", ["conv.weight", "features.0.1.bias", "layer-1.norm", "_tensor_constant0", "0"])
def test_attribute_paths(path: str) -> None:
    assert names.attribute_path(path, "x") == path
    assert names.is_attribute_path(path)


@pytest.mark.parametrize(
    "path",
    ["", ".", "a..b", "a.", 'a"b', "a b", "a.__class__", "a.lambda", "forward", "a.training", "self", "_parameters",
     "a.code", "-a", "größe", ".".join("a" * 25), "a\n", None],
)  # fmt: skip
def test_no_attribute_paths(path: object) -> None:
    with pytest.raises(RefusedError, match="may run code"):
        names.attribute_path(path, "a tensor")
    assert not isinstance(path, str) or not names.is_attribute_path(path)


@pytest.mark.parametrize("key", ["logits", "größe", "head/0", "a b", 3, -1])
def test_keys(key: str | int) -> None:
    assert names.key(key, "x") == key


@pytest.mark.parametrize("key", ["", "a'b", 'a"', "a\\", "a\n", "{a}", "a" * 129, 2**31, None, True, 1.5])
def test_no_keys(key: object) -> None:
    with pytest.raises(RefusedError, match="may run code"):
        names.key(key, "a key")


@pytest.mark.parametrize("text", ["tanh", "", "bhqd,bhkd->bhqk", "floor"])
def test_words(text: str) -> None:
    assert names.words(text, "x") == text


@pytest.mark.parametrize("text", ["a'b", "open(1)", "é", "a" * 129, None])
def test_no_words(text: object) -> None:
    with pytest.raises(RefusedError, match="may run code"):
        names.words(text, "an argument")
