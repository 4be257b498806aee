"""The table of repairs, one row each: settings, recipe, options, recipe files and reports are made from it.

A row is a field of :class:`RepairSettings` with a :class:`Repair` beside its type. From the rows follow

- the settings: :class:`fxpasses.QuantConfig` inherits name, type and default, and checks the value;
- the recipe: within a phase, repairs run in the order of the rows;
- the command line: ``fxpasses quantize`` inherits the fields as options;
- ``recipe.toml`` and its schema, and the facts of a ``.pt2`` file;
- the names in reports, and the lines of ``--explain-repairs``.

docs/adding_a_repair.md adds a row. The table imports neither torch nor a repair: repairs read the settings, and the
command line shows its help without torch. So a row names the module of its repair, whose ``STEP`` holds the function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

from ..errors import InputError

if TYPE_CHECKING:
    from .config import QuantConfig


class Phase(Enum):
    """Phases of the recipe in which repairs run, in order."""

    FLOAT = "changes the fused FLOAT graph, before tensors are observed"
    RANGES = "changes ranges in the calibrated OBSERVED graph"
    CONVERSION = "converts in its own way, instead of rounding to nearest"
    INSIDE = "is a part of observing and converting, without a step of its own"


def _takes_all(value: Any) -> None:
    """A check that refuses nothing."""


@dataclass(frozen=True, kw_only=True)
class Repair:
    """A repair's row, beside the name, type and default of its setting.

    Attributes:
        name: its name in reports and on the terminal.
        option: its spelling on the command line: ``"--equalize/--no-equalize"`` for one that is on by default.
        help: one or two sentences for the command's help.
        metavar: placeholder of the option's value in the help, if it takes one.
        phase: part of the recipe in which it runs.
        module: the module below ``fxpasses.quantization`` with its ``STEP``; empty in phase INSIDE.
        off: value of the setting that turns it off.
        methods: values of ``--method`` that have it.
        why_not: reason why other methods do not have it.
        beside_qat: ``"never"`` if the option has no effect beside ``--qat``; else ``"may"``.
        why_not_searched: reason why ``--max-drop`` refuses it; empty if it does not.
        detail: what the report adds to the name; ``{}`` stands for the setting's value.
        counted_first: whether ``--explain-repairs`` adds it before the other repairs.
        check: raises :class:`InputError` for a value that the type allows and the repair does not.
        has_effect: whether it can change anything with these settings.
    """

    name: str
    option: str
    help: str
    phase: Phase
    why_not: str
    metavar: str | None = None
    module: str = ""
    off: Any = False
    methods: tuple[str, ...] = ("static",)
    beside_qat: str = "may"
    why_not_searched: str = ""
    detail: str = ""
    counted_first: bool = False
    check: Callable[[Any], None] = _takes_all
    has_effect: Callable[[QuantConfig], bool] = lambda config: True


AUTO_ALPHA = "auto"


def check_smoothing(alpha: float | str) -> None:
    """Raise :class:`InputError` if ``alpha`` is no value that :func:`fxpasses.smooth` takes."""
    is_number = isinstance(alpha, (int, float)) and not isinstance(alpha, bool)
    if alpha != AUTO_ALPHA and not (is_number and 0 <= float(alpha) <= 1):
        raise InputError(
            f"`smoothing={alpha!r}`",
            why="alpha is a number from 0 (activations are not considered) to 1 (activation ranges become equal)",
            fix=f"use 0.5, as published, or {AUTO_ALPHA!r}",
        )


def _check_alpha(alpha: float | str | None) -> None:
    if alpha is not None:
        check_smoothing(alpha)


def _check_rounding(rounding: str) -> None:
    if rounding not in ("nearest", "learned"):
        raise InputError(f"`rounding={rounding!r}`", why="there is no such rounding", fix="use 'nearest' or 'learned'")


@dataclass(frozen=True, kw_only=True)
class RepairSettings:
    """A setting for each repair, in the order of the recipe.

    Repairs need calibration data, so :func:`fxpasses.quantize` runs them; step by step, call the functions named below.

    Attributes:
        smoothing: the alpha of :func:`fxpasses.smooth`, which runs before equalization: 0 to 1, or ``"auto"``; None
            leaves it out.
        equalization: rescale channels first, where this does not change the float results, so that one scale suits all
            channels of a tensor; see :mod:`fxpasses.quantization.repairs.equalization`. Step by step, call
            :func:`fxpasses.equalize` on the fused graph.
        pixel_grid: let the first convolution read images as their own integer pixels, if the calibration data consists
            of such pixels; see :mod:`fxpasses.quantization.repairs.pixel_grid`. Step by step, call
            :func:`fxpasses.align_pixels`.
        float_results: linear layers whose readers are all float operators or the caller give floats, not integers, so
            logits are not rounded. Additions, concatenations and moves just before such outputs are float, too.
            Integer-only accelerators need ``False``; with ``exact`` it counts as ``False``.
        narrow_ranges: use a narrower range for a tensor whose rounding causes much of the outputs' error, if that
            halves the error; see :mod:`fxpasses.quantization.repairs.output_noise`. Only with
            ``observer="histogram"``. Step by step, call :func:`fxpasses.narrow_ranges` after
            :func:`fxpasses.calibrate`.
        bias_correction: subtract from each layer's bias the mean error that rounding its weights adds to its outputs;
            see :mod:`fxpasses.quantization.int8.bias_correction`.
        reestimation: correct each layer's scale and bias by the measured error of its outputs; see
            :mod:`fxpasses.quantization.repairs.reestimation`. Step by step, call :func:`fxpasses.reestimate` instead
            of :func:`fxpasses.convert`.
        rounding: of weights: ``"nearest"``, or ``"learned"`` from the calibration data, which takes minutes and helps
            with few bits. Step by step, call :func:`fxpasses.learn_rounding` instead of :func:`fxpasses.convert`.
    """

    smoothing: Annotated[
        float | str | None,
        Repair(
            name="smoothing",
            option="--smooth",
            metavar="ALPHA",
            help="SmoothQuant before equalization: move ranges of activations into weights; 0 to 1, or auto.",
            phase=Phase.FLOAT,
            module="repairs.smoothing",
            off=None,
            why_not="activations have no scale chosen beforehand that it could suit",
            detail="alpha {}",
            check=_check_alpha,
        ),
    ] = None
    equalization: Annotated[
        bool,
        Repair(
            name="equalization",
            option="--equalize/--no-equalize",
            help="Rescale channels so that one scale suits the whole tensor.",
            phase=Phase.FLOAT,
            module="repairs.equalization",
            why_not="no activation shares one scale with others beforehand",
        ),
    ] = True
    pixel_grid: Annotated[
        bool,
        Repair(
            name="pixel grid",
            option="--pixel-grid/--no-pixel-grid",
            help="Take the input's scale from the pixel values, if they allow it.",
            phase=Phase.FLOAT,
            module="repairs.pixel_grid",
            why_not="--pixel-grid sets the input's scale, and this method has no static activation scales",
            has_effect=lambda config: config.can_align_pixels,
        ),
    ] = True
    float_results: Annotated[
        bool,
        Repair(
            name="float results",
            option="--float-results/--no-float-results",
            help="Do not round the output of a linear layer that only float operators or the caller read.",
            phase=Phase.INSIDE,
            why_not="its layers all give floats",
            detail="of linear layers",
            has_effect=lambda config: config.gives_floats,
        ),
    ] = True
    narrow_ranges: Annotated[
        bool,
        Repair(
            name="narrow ranges",
            option="--narrow-ranges/--no-narrow-ranges",
            help="Narrow the range of a tensor if that halves its share of the outputs' rounding error.",
            phase=Phase.RANGES,
            module="repairs.output_noise",
            why_not="nothing is calibrated: no range of an activation is chosen beforehand",
            detail="of tensors with much noise",
        ),
    ] = True
    bias_correction: Annotated[
        bool,
        Repair(
            name="bias correction",
            option="--bias-correction/--no-bias-correction",
            help="Subtract the mean error of rounded weights from biases.",
            phase=Phase.INSIDE,
            why_not="it needs the means of calibrated activations",
            # equalization makes weights harder to round, which alone can lose accuracy, but gains some behind this
            counted_first=True,
        ),
    ] = True
    reestimation: Annotated[
        bool,
        Repair(
            name="re-estimation",
            option="--reestimate",
            help="Correct scale and bias of each channel, as BatchNorm does; for few bits.",
            phase=Phase.CONVERSION,
            module="repairs.reestimation",
            why_not="it corrects what rounding calibrated activations does",
            beside_qat="never",
            why_not_searched="the search makes its models from one calibration, without running them again",
            detail="of scales and biases",
        ),
    ] = False
    rounding: Annotated[
        str,
        Repair(
            name="learned rounding",
            option="--rounding",
            metavar="NAME",
            help="Rounding of weights: nearest, or learned from the calibration images, for few bits. Takes minutes.",
            phase=Phase.CONVERSION,
            module="rounding.learned_rounding",
            off="nearest",
            why_not="rounding is learned from what calibrated activations are multiplied to",
            beside_qat="never",
            why_not_searched="the search tries dozens of models, and learning takes minutes for each",
            check=_check_rounding,
        ),
    ] = "nearest"


def repair_in(hint: Any) -> Repair | None:
    """The row beside a type; None for a field that is no repair."""
    return next((note for note in get_args(hint)[1:] if isinstance(note, Repair)), None)


REPAIRS: dict[str, Repair] = {
    setting: repair
    for setting, hint in get_type_hints(RepairSettings, include_extras=True).items()
    if (repair := repair_in(hint)) is not None
}
"""All rows by the names of their settings, in order."""


def settings_off(*phases: Phase) -> dict[str, Any]:
    """Settings that turn off the repairs of some phases; without phases, all repairs."""
    return {setting: repair.off for setting, repair in REPAIRS.items() if not phases or repair.phase in phases}


def repairs_on(config: QuantConfig, phase: Phase) -> dict[str, Repair]:
    """Repairs of a phase that the settings ask for, in order."""
    return {
        setting: repair
        for setting, repair in REPAIRS.items()
        if repair.phase is phase and getattr(config, setting) != repair.off
    }
