"""Every place in the sources that makes an error with a remedy, found in the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from repository import ROOT

import fxpasses

_PACKAGES = ("fxpasses", "export", "models")
_ERRORS = ("InputError", "GraphError", "at_node", "UntraceableError", "DifferentGraph", "ExampleInputsError")


@dataclass(frozen=True)
class Site:
    """One call that makes an error.

    Attributes:
        name: file and function, and a number where the function makes several: ``export/files.py:_unwritable``.
        lines: from the first to the last one of the call.
    """

    name: str
    path: str
    lines: range


def error_sites() -> list[Site]:
    """All sites, by file and line; links between packages are not followed twice."""
    found: list[Site] = []
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            relative = path.resolve().relative_to(ROOT.resolve()).as_posix()
            if not relative.startswith(("fxpasses/export/", "fxpasses/models/")) and relative.startswith(package):
                text = path.read_text(encoding="utf-8")
                if "fix" in text:  # most files make no error: reading their trees would take seconds
                    found += _numbered(relative, list(_calls(ast.parse(text))))
    return found


def _numbered(path: str, calls: list[tuple[str, ast.Call]]) -> Iterator[Site]:
    seen: dict[str, int] = {}
    for function, call in sorted(calls, key=lambda pair: pair[1].lineno):
        seen[function] = seen.get(function, 0) + 1
        number = f"#{seen[function]}" if seen[function] > 1 else ""
        yield Site(f"{path}:{function}{number}", path, range(call.lineno, (call.end_lineno or call.lineno) + 1))


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Each call that makes an error and the function it is in, in no order."""
    waiting: list[tuple[ast.AST, str]] = [(tree, "")]
    while waiting:
        node, function = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        if isinstance(node, ast.Call) and _makes_an_error(node):
            yield function, node
        waiting += [(child, function) for child in ast.iter_child_nodes(node)]


def _makes_an_error(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in _ERRORS and any(keyword.arg == "fix" for keyword in call.keywords)


def site_at(sites: list[Site], file: Path, line: int) -> str | None:
    """The site a line of a file belongs to; the file may be that of an installed copy."""
    package, root, resolved = Path(fxpasses.__file__).resolve().parent, ROOT.resolve(), file.resolve()
    if resolved.is_relative_to(package) and not resolved.is_relative_to(ROOT):
        inside = resolved.relative_to(package)
        resolved = (ROOT / (inside if inside.parts[0] in ("export", "models") else Path("fxpasses") / inside)).resolve()
    path = resolved.relative_to(root).as_posix() if resolved.is_relative_to(root) else ""
    return next((site.name for site in sites if site.path == path and line in site.lines), None)
