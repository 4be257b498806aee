"""Writes the labs' notebooks: percent scripts that jupytext reads, and notebooks that ran from top to bottom.

    pip install "fxpasses[labs]"
    python scripts/labs/notebooks.py                                all labs: docs/labs/NAME.py and NAME.ipynb, minutes
    python scripts/labs/notebooks.py --only driving --out elsewhere
    python scripts/labs/notebooks.py --without-running              the percent scripts alone
    python scripts/labs/notebooks.py --script docs/examples/int8_in_a_notebook.py    a script: its .ipynb beside it

A notebook has a cell for each section of its lab: the section's text, then the call. It stops at the first cell that
fails.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab_report import ROOT, Lab, title_of

LABS = ("linear_quantization", "driving", "mnist_sst2", "resnet18_cifar10", "low_bit")
CELL_SECONDS = 3600
HEADER = """\
# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---
"""
SETUP = """\
import sys

sys.path.insert(0, "{folder}")

import {name}
from notebook_cells import begin_notebook, run_and_show

lab = begin_notebook({name}.LAB)
"""


def lab_named(name: str) -> Lab[Any]:
    """Return the lab of a module in this folder."""
    lab: Lab[Any] = importlib.import_module(name).LAB
    return lab


def percent_script(lab: Lab[Any], folder: str) -> str:
    """Notebook as a percent script; ``folder`` is the path of the labs from the notebook's folder."""
    _, _, text = (inspect.getdoc(importlib.import_module(lab.name)) or "").partition("\n")
    cells = [
        _markdown(f"# {lab.title}", *text.strip("\n").splitlines()),
        _code(SETUP.format(folder=folder, name=lab.name)),
    ]
    for section in lab.sections:
        _, _, rest = (inspect.getdoc(section) or "").partition("\n")
        cells.append(_markdown(f"## {title_of(section)}", *rest.strip("\n").splitlines()))
        cells.append(_code(f"run_and_show({lab.name}.{section.__name__}, lab)\n"))
    cells.append(_markdown("## Every answer"))
    cells.append(_code('print(lab.report.write().with_name("report.md").read_text())\n'))
    return HEADER + "".join(cells)


def _markdown(title: str, *lines: str) -> str:
    body = [title, *([""] if lines and lines[0] else []), *lines]
    return "\n# %% [markdown]\n" + "".join(f"# {line}".rstrip() + "\n" for line in body)


def _code(text: str) -> str:
    return "\n# %%\n" + text


def executed(text: str, folder: Path) -> Any:
    """Run the notebook of a percent script in a folder, from top to bottom.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the error names it.
    """
    import jupytext
    from nbclient import NotebookClient

    notebook = jupytext.reads(text, fmt="py:percent")
    NotebookClient(notebook, timeout=CELL_SECONDS, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def write_notebook(name: str, out: Path, *, runs: bool) -> list[Path]:
    """Write NAME.py and, if it is to run, NAME.ipynb with its outputs; return the paths written."""
    out.mkdir(parents=True, exist_ok=True)
    text = percent_script(lab_named(name), os.path.relpath(Path(__file__).parent, out))
    script = out / f"{name}.py"
    script.write_text(text, encoding="utf-8")
    if not runs:
        return [script]
    import nbformat

    notebook = executed(text, out)
    nbformat.write(notebook, out / f"{name}.ipynb")
    return [script, out / f"{name}.ipynb"]


def write_script_notebook(script: Path) -> Path:
    """Run a percent script from top to bottom, in a folder that is thrown away, and write its notebook beside it."""
    import nbformat

    with tempfile.TemporaryDirectory() as folder:
        notebook = executed(script.read_text("utf-8"), Path(folder))
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # random ones would change with every run
    path = script.with_suffix(".ipynb")
    nbformat.write(notebook, path)
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Write the labs' notebooks, with their outputs.")
    parser.add_argument("--only", choices=LABS, nargs="*", default=LABS)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "labs")
    parser.add_argument("--without-running", action="store_true")
    parser.add_argument("--script", type=Path, help="a percent script of its own, instead of labs")
    options = parser.parse_args(arguments)
    if options.script is not None:
        print(write_script_notebook(options.script))
        return
    for name in options.only:
        for path in write_notebook(name, options.out, runs=not options.without_running):
            print(path)


if __name__ == "__main__":
    main()
