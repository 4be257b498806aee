"""Each kind of change, on steps made by hand."""

from __future__ import annotations

import pytest
import torch

from fxpasses.comparing.changes import Kind, rows_of
from fxpasses.comparing.steps import Step, Weight


def conv(weight: torch.Tensor, dtype: str = "float32", **settings: object) -> Step:
    return Step("conv", "conv2d", module="conv", weight=Weight(weight, dtype), **settings)  # type: ignore[arg-type]


ONES = torch.ones(4, 3, 3, 3)
HALF = torch.cat((ONES[:2], torch.zeros(2, 3, 3, 3)))
WIDER = torch.cat((ONES, torch.zeros(4, 1, 3, 3)), dim=1)


@pytest.mark.parametrize(
    ("a", "b", "kind", "words"),
    [
        (conv(ONES), conv(HALF), Kind.ZEROS, "0 % -> 50 % of the weights are zero"),
        (conv(ONES), conv(2 * ONES), Kind.WEIGHTS, "other weights"),
        (conv(ONES), conv(ONES[:2]), Kind.CHANNELS, "4 -> 2 output channels"),
        (conv(ONES), conv(WIDER), Kind.PADDED, "3 -> 4 input channels (zeros)"),
        (conv(ONES), conv(ONES.half(), "float16"), Kind.PRECISION, "weights float32 -> float16"),
        (Step("x", "silu"), Step("x", "sigmoid"), Kind.OPERATOR, "silu became sigmoid"),
        (
            Step("x", "add"),
            Step("x", "add", precision="uint8", grid="0.1 @ 3", on_integers=True),
            Kind.INT8,
            "float32 -> uint8 0.1 @ 3",
        ),
        (
            Step("x", "flatten"),
            Step("x", "flatten", precision="uint8", grid="0.1 @ 3", on_integers=True, moves=True),
            Kind.MOVED,
            "float32 -> uint8 0.1 @ 3",
        ),
        (
            Step("x", "add", precision="uint8", grid="0.1 @ 3", on_integers=True),
            Step("x", "add"),
            Kind.INTO_FLOAT,
            "uint8 0.1 @ 3 -> float32",
        ),
        (
            Step("x", "add", precision="uint8", grid="0.1 @ 3", on_integers=True),
            Step("x", "add", precision="uint8", grid="0.2 @ 3", on_integers=True),
            Kind.GRID,
            "0.1 @ 3 -> 0.2 @ 3",
        ),
    ],
)
def test_a_step_of_both(a: Step, b: Step, kind: Kind, words: str) -> None:
    (row,) = rows_of([(a, b)])
    assert [(change.kind, change.words) for change in row.changes] == [(kind, words)]


def test_the_same_step_has_none() -> None:
    (row,) = rows_of([(conv(ONES), conv(ONES.clone()))])
    assert row.changes == ()


def test_a_batch_norm_behind_no_layer_is_gone_and_not_folded() -> None:
    pool, norm = Step("pool", "max_pool2d"), Step("bn", "batch_norm", inputs=("pool",))
    assert [row.changes[0].kind for row in rows_of([(pool, pool), (norm, None)]) if row.changes] == [Kind.REMOVED]


def test_a_relu_in_front_of_floats_is_gone_and_no_saturation() -> None:
    relu = Step("relu", "relu", inputs=("conv",))
    assert rows_of([(conv(ONES), conv(ONES)), (relu, None)])[1].changes[0].kind is Kind.REMOVED


def test_what_notes_say_was_folded_was() -> None:
    factor = Step("mul", "mul", inputs=("conv",))
    rows = rows_of([(conv(ONES), conv(2 * ONES, folded=("mul",))), (factor, None)])
    assert [change.kind for row in rows for change in row.changes] == [Kind.FOLDED]
