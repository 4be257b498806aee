"""Which options of ``quantize`` belong to which ``--method``: one that would be ignored is refused, with the reason."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from fxpasses.errors import InputError

STATIC, DYNAMIC, WEIGHT_ONLY, FP16, BF16 = METHODS = ("static", "dynamic", "weight-only", "fp16", "bf16")

_CALIBRATED = "nothing is calibrated: no range of an activation is chosen beforehand"
_SEARCHED = "the search is over static int8 models"
_RECIPE = "recipes are of static int8 models"
_STATIC_ONLY = {
    "--observer": _CALIBRATED,
    "--calib": _CALIBRATED,
    "--activation-bits": "its activations have one type",
    "--equalize": "no activation shares one scale with others beforehand",
    "--smooth": "activations have no scale chosen beforehand that it could suit",
    "--pixel-grid": "no activation has a scale chosen beforehand, the image neither",
    "--narrow-ranges": _CALIBRATED,
    "--float-results": "its layers all give floats",
    "--bias-correction": "it needs the means of calibrated activations",
    "--reestimate": "it corrects what rounding calibrated activations does",
    "--explain-repairs": "repairs are of static int8 models",
    "--rounding": "rounding is learned from what calibrated activations are multiplied to",
    "--qat": "training is for static int8 models",
    "--lr": "training is for static int8 models",
    "--augment": "training is for static int8 models",
    "--checkpoint": "training is for static int8 models",
    "--exact": "only integers all the way through can be the same in both runtimes",
    "--max-drop": _SEARCHED,
    "--placement": "it is about which operators of a static model are int8",
    "--workers": _SEARCHED,
    "--backend": _SEARCHED,
    "--recipe": _RECIPE,
    "--dynamic-size": "its files have the sizes of the example image",
    "--device": "its layers have no kernels on a GPU here",
    "--form": "Q/DQ pairs and QLinear operators are of static int8 files",
}
_ONE_WIDTH = "it is for weights of 8 or 4 bits that are multiplied in float"
_FEW_BITS = "its weights have one width"
_OF_OTHERS = {
    "--bits": (STATIC, WEIGHT_ONLY),
    "--group-size": (STATIC, WEIGHT_ONLY),
    "--compute": (WEIGHT_ONLY,),
    "--target": (STATIC, DYNAMIC),
}
_WHY_OTHERS = {
    "--bits": _FEW_BITS,
    "--group-size": _FEW_BITS,
    "--compute": _ONE_WIDTH,
    "--target": "its weights and activations are the same for all targets",
}


def check_method(method: str) -> None:
    """Raise InputError unless there is such a method."""
    if method not in METHODS:
        raise InputError(f"--method {method}", why="there is no such method", fix=f"use {' or '.join(METHODS)}")


def given_options(context: typer.Context) -> list[str]:
    """The options on the command line, each by its first spelling."""
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name and _is_said(context, parameter.name) and parameter.opts[0].startswith("--")
    ]


def refuse_alien_options(method: str, given: Iterable[str]) -> None:
    """Raise InputError for the first option on the command line that the method has no use for."""
    for option in given:
        why = why_alien(method, option)
        if why is not None:
            raise InputError(
                f"{option} with --method {method}", why=why, fix=f"leave it out, or use --method {_home_of(option)}"
            )


def why_alien(method: str, option: str) -> str | None:
    """Why an option does not belong to a method; None if it does."""
    if option in _STATIC_ONLY:
        return None if method == STATIC else _STATIC_ONLY[option]
    if option in _OF_OTHERS and method not in _OF_OTHERS[option]:
        return _WHY_OTHERS[option]
    return None


def _home_of(option: str) -> str:
    return _OF_OTHERS.get(option, (STATIC,))[0]


def _is_said(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
