"""Names of variants, and the baseline among them."""

from __future__ import annotations

import pytest
from stub_runners import StubRunner

from fxpasses.errors import InputError
from fxpasses.measure.matrix.variants import MatrixVariant, baseline_of, variant_name

VARIANTS = [
    MatrixVariant(StubRunner(name)) for name in ("dense torch fp32", "dense onnxruntime fp32", "pruned torch int8")
]


def test_names() -> None:
    assert variant_name("pruned", "torch", "int8") == "pruned torch int8"
    assert variant_name("dense", "torch", "fp16", "cuda") == "dense torch fp16 on cuda"


def test_the_baseline_is_float_in_onnxruntime_unless_told() -> None:
    assert baseline_of(VARIANTS, None).name == "dense onnxruntime fp32"
    assert baseline_of(VARIANTS[::2], None).name == "dense torch fp32"
    assert baseline_of(VARIANTS, "pruned torch int8").name == "pruned torch int8"


def test_a_baseline_that_is_not_measured() -> None:
    with pytest.raises(InputError, match="baseline 'torch'") as caught:
        baseline_of(VARIANTS, "torch")
    assert "dense torch fp32" in caught.value.fix
