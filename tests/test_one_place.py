"""Facts have types: no text of a message and no ending of a name decides anything outside its own file."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from repository import ROOT
from test_imports import modules

from fxpasses.graph.operator_table import VOCABULARY

ONLY_IN = {
    "stays float: ": "fxpasses.graph.pass_runner",
    "_int8": "fxpasses.quantization.int8.names",
    "_float": "fxpasses.quantization.int8.names",
    "one batch size": "fxpasses.graph.stages",
    "folded into": "fxpasses.graph.pass_runner",
    "_as_conv": "fxpasses.quantization.int8.rewrites",
}
"""Texts that reports and files hold; code must ask an attribute, an enum or a function for their meaning."""
DECIDING = {"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "find", "index"}


@cache
def tree_of(text: str) -> ast.Module:
    """Syntax tree of a module, which several tests read."""
    return ast.parse(text)


def places(text: str) -> list[str]:
    """Texts of this list that a module compares, splits or searches for."""
    found = []
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in DECIDING:
            found += [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        elif isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
            found += [p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)]
    return [text for text in ONLY_IN if any(text in seen for seen in found)]


def test_no_text_decides() -> None:
    found = [
        f"{module}: {text}"
        for module, path in modules().items()
        for text in places(path.read_text())
        if ONLY_IN[text] != module
    ]
    assert found == []


@pytest.mark.parametrize(
    "text", ['n.endswith("_int8")', 'why.startswith("stays float: ")', '"one batch size" in str(method)']
)
def test_a_text_that_decides_is_found(text: str) -> None:
    assert places(text)


META_KEYS = ROOT / "fxpasses" / "graph" / "meta_keys.py"
TORCHS_OWN = {"stack_trace", "nn_module_stack", "val"}


def keys_written_out(path: Path) -> list[str]:
    """Keys of ``.meta`` that a file spells out as text."""
    found = []
    for node in ast.walk(tree_of(path.read_text())):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr == "meta":
            found += [node.slice.value] if isinstance(node.slice, ast.Constant) else []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            held = node.func.value
            if isinstance(held, ast.Attribute) and held.attr == "meta" and isinstance(node.args[0], ast.Constant):
                found.append(node.args[0].value)
    return [key for key in found if isinstance(key, str) and key not in TORCHS_OWN]


def test_keys_of_meta_are_in_one_file() -> None:
    searched = {name: path for name, path in modules().items() if not name.startswith("fxpasses.models.")}
    assert [f"{name}: {key}" for name, path in searched.items() for key in keys_written_out(path)] == []
    assert META_KEYS.is_file()


FREE_OF_OPERATORS = (
    *("fxpasses.export.engines", "fxpasses.quantization", "fxpasses.capturing", "fxpasses.graph"),
    *("fxpasses.passes", "fxpasses.pruning", "fxpasses.micronet", "fxpasses.comparing", "fxpasses.precision"),
    "fxpasses.binary",
)
"""Modules that ask an operator's column or a table with a row for it, instead of comparing its name."""
MAY_NAME_OPERATORS = {
    "fxpasses.graph.operator_table": "it is the table",
    **dict.fromkeys(
        (f"fxpasses.passes.{name}" for name in ("attention", "attention_masks", "attention_rank", "pooling")),
        "each pass is of one operator",
    ),
    "fxpasses.capturing.lifting": "a product with a constant is a linear layer",
    "fxpasses.quantization.int8.mixed_tensors": "parts of a tensor: cat joins them, slices take them apart",
    "fxpasses.quantization.int8.rewrites": "each rewrite is of one operator",
    "fxpasses.quantization.repairs.pixel_grid": "images are read by convolutions of two dimensions",
}
"""Modules of these that compare names of operators, each with the reason."""


def operators_compared(text: str) -> list[str]:
    """Names of operators that a module compares something with."""
    found = []
    for node in ast.walk(tree_of(text)):
        if isinstance(node, ast.Compare):
            for part in (node.left, *node.comparators):
                constants = [c.value for c in ast.walk(part) if isinstance(c, ast.Constant)]
                found += [value for value in constants if value in VOCABULARY.by_name]
    return found


def test_operators_are_asked_and_not_compared() -> None:
    searched = {name: path for name, path in modules().items() if name.startswith(FREE_OF_OPERATORS)}
    found = {name: operators_compared(path.read_text()) for name, path in searched.items()}
    assert {name: seen for name, seen in found.items() if seen and name not in MAY_NAME_OPERATORS} == {}
    assert [name for name in MAY_NAME_OPERATORS if not found[name]] == [], "compares no more: take it off the list"


@pytest.mark.parametrize("text", ['name == "cat"', 'operator.name in ("add", "mul")', 'x != "linear"'])
def test_a_compared_operator_is_found(text: str) -> None:
    assert operators_compared(text)
