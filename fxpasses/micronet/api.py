"""``score``: counts the storage and operations of a graph by the rules of the MicroNet challenge."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from torch import fx

from ..errors import GraphError, InputError
from ..graph.shapes import shape_of
from ..graph.stages import Stage, stage_of
from ..passes.fusion import fuse
from .bases import COURSE, Base, find_base
from .float_rows import FloatRows
from .int8_rows import int8_rows
from .lowered_rows import lowered_rows
from .rows import Row, Widths
from .storage import FLOAT_BITS, Block, check_block

ACCUMULATORS = ("32", "exact", "16")
"""Widths of sums. Entrants of the challenge were scored by different ones, so a score shows all three."""
FREEBIE_BITS = 16
CIFAR10_REMARK = (
    "CIFAR-10 was no task of the challenge: relative to WRN-28-10 on CIFAR-100 it is a convention of this project."
)


@dataclass(frozen=True)
class MicroNetScore:
    """Score of one graph, with its rows.

    Attributes:
        rows: a row for each node that stores or computes something.
        base: reference of the score.
        accumulator: the one of :data:`ACCUMULATORS` that the score uses.
        freebie: whether values of 32 bits count as 16.
        uncounted: operators without a rule, which are left out.
    """

    rows: tuple[Row, ...]
    base: Base
    accumulator: str
    freebie: bool
    uncounted: tuple[str, ...]
    of_cifar10: bool = False
    """Whether the graph takes images of 3x32x32 and gives ten values; ``cifar100`` is then a convention of this
    project.
    """

    @property
    def remark(self) -> str | None:
        """Remark to show beside the score; None if there is none."""
        return CIFAR10_REMARK if self.of_cifar10 and self.base.name == "cifar100" else None

    @property
    def params(self) -> float:
        """Storage, in parameters of 32 bits."""
        return float(sum((row.params(freebie=self.freebie) for row in self.rows), Fraction(0)))

    @property
    def storage_mb(self) -> float:
        """Storage in megabytes of 10^6 bytes."""
        return self.params * FLOAT_BITS / 8 / 1e6

    @property
    def multiplies(self) -> float:
        """Multiplies of one example, in operations of 32 bits."""
        return float(sum((row.multiplies(freebie=self.freebie) for row in self.rows), Fraction(0)))

    def adds(self, accumulator: str | None = None) -> float:
        """Adds of one example, in operations of 32 bits."""
        wanted = accumulator or self.accumulator
        return float(sum((row.adds(wanted) for row in self.rows), Fraction(0)))

    def operations(self, accumulator: str | None = None) -> float:
        """Number of multiplies and adds of one example, in operations of 32 bits."""
        return self.multiplies + self.adds(accumulator)

    @property
    def storage_score(self) -> float:
        if self.base.name == COURSE:
            kept = sum((Fraction(s.kept * s.bits, FLOAT_BITS) for row in self.rows for s in row.stored), Fraction(0))
            return float(kept) / self.base.storage
        return self.params / self.base.storage

    def operation_score(self, accumulator: str | None = None) -> float:
        """Operations relative to the base; the course's base counts multiply-accumulates, zeros included."""
        if self.base.name == COURSE:
            work = (w for row in self.rows for w in row.work)
            macs = sum((Fraction(w.macs * (w.operand_bits or w.multiply_bits), FLOAT_BITS) for w in work), Fraction(0))
            return float(macs) / self.base.operations
        return self.operations(accumulator) / self.base.operations

    def score(self, accumulator: str | None = None) -> float:
        """Sum of storage and operations, each relative to the base."""
        return self.storage_score + self.operation_score(accumulator)

    def to_json(self) -> dict[str, object]:
        """The score and its rows as JSON."""
        return {
            "base": self.base.name,
            "relative_to": self.base.network,
            "accumulator": self.accumulator,
            "freebie": self.freebie,
            "params": self.params,
            "storage_mb": self.storage_mb,
            "multiplies": self.multiplies,
            "adds": {a: self.adds(a) for a in ACCUMULATORS},
            "operations": {a: self.operations(a) for a in ACCUMULATORS},
            "storage_score": self.storage_score,
            "operation_score": {a: self.operation_score(a) for a in ACCUMULATORS},
            "score": self.score(),
            "scores": {a: self.score(a) for a in ACCUMULATORS},
            "remark": self.remark,
            "not_counted": list(self.uncounted),
            "layers": [self._layer(row) for row in self.rows],
        }

    def _layer(self, row: Row) -> dict[str, object]:
        return {
            "name": row.name,
            "operator": row.operator,
            "params": float(row.params(freebie=self.freebie)),
            "weight_bits": row.weight_bits,
            "multiplies": float(row.multiplies(freebie=self.freebie)),
            "multiply_bits": row.multiply_bits,
            "adds": {a: float(row.adds(a)) for a in ACCUMULATORS},
            "exact_bits": row.exact_bits,
        }


def score(
    graph: fx.GraphModule,
    base: str = "cifar100",
    *,
    accumulator: str = "32",
    freebie: bool = False,
    weight_bits: int | None = None,
    activation_bits: int | None = None,
    block: Block | None = None,
) -> MicroNetScore:
    """Score the storage and operations of a graph for one example, by the rules of the MicroNet challenge.

    Args:
        graph: FLOAT (BatchNorm is merged as the rules allow), QUANTIZED or LOWERED. Zeros of weights are left out if a
            mask takes less space.
        base: "cifar100", "imagenet", "wikitext", or "effdl" for the course's later score.
        accumulator: width of sums: "32" bits, "16", or "exact", the narrowest that holds every sum.
        freebie: count values of 32 bits as 16, and their multiplies; adds stay 32. Not for quantized graphs.
        weight_bits: for a FLOAT graph: assume this number of bits for every parameter.
        activation_bits: for a FLOAT graph: assume this number of bits for every computed value.
        block: outputs and inputs of a block; a mask then has one bit for each block, not for each element.

    Raises:
        InputError: an unknown base or accumulator, widths that do not go with the graph, or a freebie for a graph with
            values of fewer than 16 bits.
        GraphError: the graph is OBSERVED, or has no stage.
    """
    found = find_base(base)
    if accumulator not in ACCUMULATORS:
        raise InputError(
            f"accumulator {accumulator!r}", why="there is none such", fix=f"use one of {', '.join(ACCUMULATORS)}"
        )
    check_block(block)
    _check_widths(graph, weight_bits, activation_bits)
    rows, uncounted = _rows(graph, Widths(weight_bits, activation_bits, block))
    rows = [row for row in rows if not row.is_empty]
    if freebie:
        _require_unquantized(rows)
    return MicroNetScore(tuple(rows), found, accumulator, freebie, tuple(uncounted), _is_of_cifar10(graph))


def _is_of_cifar10(graph: fx.GraphModule) -> bool:
    first = next((shape_of(node) for node in graph.graph.nodes if node.op == "placeholder"), None) or ()
    last = [shape_of(node) or () for node in graph.graph.output_node().all_input_nodes]
    return first[1:] == (3, 32, 32) and len(last) == 1 and last[0][1:] == (10,)


def _rows(graph: fx.GraphModule, widths: Widths) -> tuple[list[Row], list[str]]:
    stage = stage_of(graph)
    if stage is Stage.QUANTIZED:
        return int8_rows(graph, widths)
    if stage is Stage.LOWERED:
        return lowered_rows(graph, widths)
    if stage is Stage.FLOAT:
        merged = fuse(graph)
        maker = FloatRows(merged, widths)
        found = [row for node in merged.graph.nodes if (row := maker.row(node)) is not None]
        return found, maker.uncounted
    what = f"a graph in stage {stage.value}" if stage else f"a {type(graph).__name__} that was not captured"
    raise GraphError(
        f"score got {what}",
        why="it counts FLOAT, QUANTIZED and LOWERED graphs",
        fix="score(fx.capture(model.eval(), example_inputs)), or convert the graph first",
        step="score",
    )


def _check_widths(graph: fx.GraphModule, weight_bits: int | None, activation_bits: int | None) -> None:
    for name, bits in (("weight_bits", weight_bits), ("activation_bits", activation_bits)):
        if bits is None:
            continue
        if not 1 <= bits <= FLOAT_BITS:
            raise InputError(f"{name}={bits}", why="values have 1 to 32 bits", fix="use 16 or 8")
        if stage_of(graph) is not Stage.FLOAT:
            raise InputError(
                f"{name}={bits} of a graph that is not FLOAT",
                why="its widths are its own",
                fix=f"leave {name} out, or score the FLOAT graph",
            )


def _require_unquantized(rows: list[Row]) -> None:
    for row in rows:
        narrow = [s.bits for s in row.stored] + [w.multiply_bits for w in row.work if w.multiplies]
        if any(bits < FREEBIE_BITS for bits in narrow):
            raise InputError(
                "the freebie does not hold for this graph",
                why=f"{row.name} has values of {min(narrow)} bits, values below 16 bits exclude the freebie",
                fix="leave `freebie=True` out",
            )
