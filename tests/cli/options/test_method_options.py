"""Options and the methods they belong to."""

from __future__ import annotations

import pytest

from fxpasses.cli.options.methods import check_method, refuse_alien_options
from fxpasses.cli.options.quantize import METHODS
from fxpasses.errors import InputError


@pytest.mark.parametrize("method", METHODS)
def test_what_all_methods_have(method: str) -> None:
    check_method(method)
    refuse_alien_options(method, ["--data", "--weights", "--keep-float", "--eval", "--optimizer", "--threads"])


def test_own_options() -> None:
    refuse_alien_options("weight-only", ["--bits", "--group-size", "--compute"])
    refuse_alien_options("dynamic", ["--target"])
    refuse_alien_options(
        "static", ["--observer", "--calib", "--exact", "--max-drop", "--form", "--target", "--group-size"]
    )


@pytest.mark.parametrize(
    ("method", "option", "said"),
    [
        ("fp16", "--calib", "nothing is calibrated(.|\n)*--method static"),
        ("dynamic", "--bits", "one width(.|\n)*--method static"),
        ("fp16", "--rounding", "calibrated activations(.|\n)*--method static"),
        ("fp16", "--group-size", "one width(.|\n)*--method static"),
        ("static", "--compute", "multiplied in float(.|\n)*--method weight-only"),
        ("weight-only", "--target", "the same for all targets"),
    ],
)
def test_alien_options(method: str, option: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        refuse_alien_options(method, [option])
    refuse_alien_options(error.value.fix.split("--method ")[1], [option])  # the remedy


def test_unknown_method() -> None:
    with pytest.raises(InputError, match="there is no such method"):
        check_method("int3")
