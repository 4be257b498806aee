"""Parameters in messages of the library become options at the command line, and stay in Python."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_runs import fxpasses
from repository import ROOT

from fxpasses.cli.app import app
from fxpasses.cli.spelling import as_options, spellings_of
from fxpasses.errors import InputError
from fxpasses.quantization.config import QuantConfig

SPELLINGS = spellings_of(app)


@pytest.mark.parametrize(
    ("in_python", "as_option"),
    [
        ("`bits=5`: use 8", "--bits 5: use 8"),
        ("`weight_bits=1`", "--bits 1"),
        ('`keep_float=["conv1"]`', "--keep-float conv1"),
        ("leave `weights_key` out", "leave --weights-key out"),
        ("`equalization=False`", "--no-equalize"),
        ("`exact=True`", "--exact"),
        ('`metric="mse@KEY"`', "--metric mse@KEY"),
        ("`smoothing='half'`", "--smooth half"),
        ('`overrides=[Override("node:add", keep_float=True)]`', "--keep-float node:add"),
        ("`verify=False` writes the file unchecked", "`verify=False` writes the file unchecked"),
        ("no parameter here", "no parameter here"),
    ],
)
def test_parameters_become_options(in_python: str, as_option: str) -> None:
    assert as_options(in_python, SPELLINGS) == as_option


def test_the_library_names_parameters_and_the_command_options(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`weight_bits=9`"):
        QuantConfig(weight_bits=9)
    run = fxpasses("quantize", "digits_cnn", "--data", "digits", "--bits", "9", "--out", tmp_path / "out")
    assert run.code == 2 and run.err.startswith("error: --bits 9\n  why: ")


OPTIONS = {text for texts in SPELLINGS.values() for text in texts}
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
_COMMAND = re.compile(
    r"fxpasses [a-z]+ |pip install|nvidia-smi|optimizer_cli|model_type|python run.py|target_platform|sys.executable"
)


def names_an_option(line: str, folder: str) -> bool:
    """Whether a line names an option without its command. Reports name variables of CSS, too, which look alike."""
    found = set(_OPTION.findall(line))
    if folder == "reports":
        found &= OPTIONS
    return bool(found) and not _COMMAND.search(line) and "``" not in line


def test_no_message_of_the_library_names_an_option() -> None:
    """Exceptions are whole commands, and the table with the words of options."""
    words, found = {("bundles", "run.py"), ("quantization", "repair_table.py")}, []
    for folder in (ROOT / "fxpasses", ROOT / "export", ROOT / "models"):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(ROOT).parts
            if "cli" not in parts and parts[1:] not in words:
                found += [
                    f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
                    for number, line in enumerate(path.read_text().splitlines(), 1)
                    if names_an_option(line, parts[1])
                ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "folder", "named"),
    [
        ("try --bits 4", "quantization", True),
        ("try --keep-float NAME", "reports", True),
        ("color: var(--ink)", "reports", False),
        ("fxpasses quantize --bits 4", "reports", False),
    ],
)
def test_an_option_is_found(line: str, folder: str, named: bool) -> None:
    assert names_an_option(line, folder) is named
