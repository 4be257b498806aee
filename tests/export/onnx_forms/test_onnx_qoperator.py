"""QOperator files: integer operators with the scales of the QDQ file, and the same integers."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
from int8_files import ENDS_IN_FLOATS, NETS, are_equal, exported, file_of, inputs_of, model_of, run_file
from tiny_graphs import INTEGERS, X86, close, exact_outputs, quantized
from tiny_nets.share import each_net

from fxpasses.export.onnx_forms.qoperator import CONTRIB, to_qoperator
from fxpasses.quantization.config import QuantConfig


def _rewritten(name: str, config: QuantConfig = X86) -> onnx.ModelProto:
    content = file_of(name) if config == X86 else exported(quantized(name, config))
    model = ir.from_proto(model_of(content))
    to_qoperator(model)
    return ir.to_proto(model)


@pytest.mark.parametrize("name", each_net(NETS))
def test_the_same_numbers(name: str) -> None:
    content = _rewritten(name).SerializeToString()
    for batch in (1, 3):
        inputs = inputs_of(name, batch)
        agree = close if name in ENDS_IN_FLOATS else are_equal
        assert agree(run_file(content, inputs), exact_outputs(quantized(name), inputs))


EXPECTED = {
    "conv_bn_relu": {"QLinearConv"},
    "residual_block": {"QLinearConv", "QLinearAdd"},
    "cat": {"QLinearConv", "QLinearConcat"},
    "channel_shuffle": {"QLinearConv", "Reshape", "Transpose"},
    "adaptive_pool_to_1": {"QLinearConv", "QLinearGlobalAveragePool", "QGemm"},
    "conv_depthwise_bn_relu6": {"QLinearConv"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_left_between_integers(name: str) -> None:
    model = _rewritten(name, INTEGERS)
    kinds = [n.op_type for n in model.graph.node]
    assert EXPECTED[name] <= set(kinds)
    assert kinds.count("QuantizeLinear") == len(model.graph.input)
    assert kinds.count("DequantizeLinear") == len(model.graph.output)
    assert not {"Conv", "Gemm", "Add", "Concat"} & set(kinds)
    assert CONTRIB in {o.domain for o in model.opset_import}


def test_what_has_no_integer_operator_keeps_its_pairs() -> None:
    kinds = [n.op_type for n in _rewritten("squeeze_excite", INTEGERS).graph.node]
    assert "QLinearConv" in kinds and "QLinearMul" in kinds
    assert {"HardSwish", "HardSigmoid"} & set(kinds)
    assert kinds.count("QuantizeLinear") > 1


def test_form_of_to_onnx() -> None:
    content = exported(quantized("residual_block"), form="qoperator")
    assert "QLinearAdd" in {n.op_type for n in model_of(content).graph.node}
    inputs = inputs_of("residual_block")
    assert are_equal(run_file(content, inputs), run_file(file_of("residual_block"), inputs))
