"""Plain words: a docstring makes sense alone, in an index, to a reader whose first language is not English.

Habits that are known here: a docstring that begins in the middle of a sentence ("Of ...", "What ...", "How ..."), the
docstring of a constant that goes on with the sentence of the one above, and metaphors for numbers.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from repository import ROOT

FOLDERS = ("fxpasses", "export", "models", "scripts", "tests")
FIRST_WORDS = {
    "of",
    "what",
    "who",
    "whose",
    "how",
    "that",
    "so",
    "and",
    "but",
    "or",
    "as",
    "where",
    "which",
    "with",
    "for",
}
"""Words that a docstring does not begin with: a noun or a verb comes first."""
GOES_ON = {"the same", "likewise", "its", "their", "it", "they", "those", "this", "these", "again"}
"""Words that the docstring of a constant does not begin with: a reader may see it alone."""
METAPHORS = re.compile(r"\b(loud|louder|hears?|heard|believ\w+|by heart|hearts?|judg\w+)\b", re.IGNORECASE)


def python_files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (path for path in sorted((ROOT / folder).rglob("*.py")) if not path.is_symlink())


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Line, text, and whether it is that of a constant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text, False
        body = getattr(node, "body", None)
        for before, after in pairwise(body) if isinstance(body, list) else ():
            if isinstance(before, ast.Assign | ast.AnnAssign) and (text := _string(after)):
                yield after.lineno, text, True


def _string(node: ast.stmt) -> str | None:
    value = node.value if isinstance(node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def habits(source: str) -> list[str]:
    """Each habit that is found, with its line."""
    found = []
    for line, text, is_constants in docstrings(ast.parse(source)):
        first = text.strip().splitlines()[0]
        words = first.lower().replace("*", "").split()
        if words and words[0].strip("`,.:;") in FIRST_WORDS:
            found.append(f"{line}: begins with {words[0]!r}: {first}")
        if is_constants and (first[:1].islower() or words[0] in GOES_ON or " ".join(words[:2]) in GOES_ON):
            found.append(f"{line}: goes on with the one above: {first}")
        found += [f"{line}: a metaphor, {word[0]!r}: {first}" for word in METAPHORS.finditer(text)]
    if METAPHORS.search(source) is None:  # most files: reading their tokens takes twice as long as their trees
        return found
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and (word := METAPHORS.search(token.string)):
            found.append(f"{token.start[0]}: a metaphor, {word[0]!r}: {token.string}")
    return found


def test_habits_are_known() -> None:
    assert habits('"""Of all."""\nA = 1\n"""the same of B."""\nB = 2  # is heard\n"""Loud tensors: how many."""\n') == [
        "1: begins with 'of': Of all.",
        "3: goes on with the one above: the same of B.",
        "5: a metaphor, 'Loud': Loud tensors: how many.",
        "4: a metaphor, 'heard': # is heard",
    ]
    assert habits('"""The scale of each channel."""\n') == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_make_sense_alone(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{habit}"
        for path in python_files()
        if path.relative_to(ROOT).parts[0] == folder
        for habit in habits(path.read_text())
    ]
    assert found == []
