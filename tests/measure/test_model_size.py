"""Bytes, parameters and MACs: compared with numbers calculated by hand; ptflops prints nothing and changes nothing."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

import fxpasses
from fxpasses.errors import InputError
from fxpasses.export.files import file_bytes
from fxpasses.measure.model_size import count_macs, count_parameters, module_bytes


class Functional(nn.Module):
    """A convolution and a matrix product that are no modules."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 3, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(x, self.weight).flatten(2)
        return y @ y.transpose(1, 2)


CONV_MACS = 4 * 3 * 9 * 6 * 6
PRODUCT_MACS = 4 * 4 * 36


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)).eval()


def test_functions_count_as_modules_do() -> None:
    assert count_macs(Functional(), (torch.ones(1, 3, 8, 8),)).macs == CONV_MACS + PRODUCT_MACS


@pytest.mark.parametrize("batch", [1, 5])
def test_a_net_counts_for_one_item_biases_included(batch: int) -> None:
    found = count_macs(small_net(), (torch.ones(batch, 3, 8, 8),))
    assert found.macs == CONV_MACS + 4 * 36 + 144 * 10 + 10
    assert found.uncounted == ()


def test_lstm_counts_the_products_of_every_gate() -> None:
    lstm = nn.LSTM(5, 7, bidirectional=True, batch_first=True).eval()
    assert count_macs(lstm, (torch.randn(3, 11, 5),)).macs == 11 * 2 * 4 * 7 * (5 + 7)


def test_attention_counts_its_two_products() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(x, x, x)

    assert count_macs(Attention(), (torch.ones(1, 1, 6, 8),)).macs == 2 * 6 * 6 * 8


def test_an_encoder_layer_is_counted_whole() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    projections, feed_forward, products = 6 * 8 * 4 * 8, 6 * 2 * 8 * 16, 2 * 6 * 6 * 8
    biases = 6 * (4 * 8 + 16 + 8)
    fast_path = torch.backends.mha.get_fastpath_enabled()
    found = count_macs(layer, (torch.ones(1, 6, 8),))
    assert found.macs in (projections + feed_forward + products, projections + feed_forward + products + biases)
    assert found.uncounted == ()
    assert torch.backends.mha.get_fastpath_enabled() == fast_path


def test_what_multiplies_but_is_not_counted_is_named() -> None:
    class Fourier(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            spectrum: Tensor = torch.fft.rfft(x)
            return spectrum.abs().relu()

    found = count_macs(Fourier(), (torch.ones(1, 8),))
    assert found.macs == 0
    assert len(found.uncounted) == 1
    assert "fft" in found.uncounted[0]


def test_a_model_that_fails_has_no_count_but_a_reason() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("out of luck")

    found = count_macs(Broken(), (torch.ones(1, 8),))
    assert found.macs is None
    assert "out of luck" in (found.why or "")


def test_counting_prints_nothing_and_leaves_no_hooks(capfd: pytest.CaptureFixture[str]) -> None:
    net = small_net()
    count_macs(net, (torch.ones(1, 3, 8, 8),))
    assert capfd.readouterr() == ("", "")
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


def test_parameters_and_bytes_of_a_float_net() -> None:
    net = small_net()
    next(net.parameters()).data[0] = 0
    found = count_parameters(net)
    assert found.params == 4 * 27 + 4 + 1440 + 10
    assert found.nonzero == found.params - 27
    assert module_bytes(net) == 4 * found.params


def test_a_shared_parameter_is_counted_once() -> None:
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert count_parameters(net).params == 12
    assert module_bytes(net) == 48


def test_an_int8_graph_has_as_many_parameters_and_macs_in_fewer_bytes() -> None:
    net, x = small_net(), torch.randn(2, 3, 8, 8)
    int8 = fxpasses.quantize(net, x, [x])
    assert count_parameters(int8).params == count_parameters(net).params
    assert count_macs(int8, (x,)).macs == count_macs(net, (x,)).macs
    assert module_bytes(int8) < module_bytes(net) / 3


def test_an_onnx_file_counts_with_the_weights_beside_it(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(torch.ones(64, 64).numpy(), "w")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weight])
    whole, split = tmp_path / "whole.onnx", tmp_path / "split.onnx"
    onnx.save(helper.make_model(graph), whole)
    onnx.save(helper.make_model(graph), split, save_as_external_data=True, location="split.bin", size_threshold=0)
    assert file_bytes(whole) == whole.stat().st_size
    assert file_bytes(split) == split.stat().st_size + 64 * 64 * 4


def test_any_other_file_counts_alone(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"x" * 17)
    assert file_bytes(tmp_path / "model.pt2") == 17


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot open .*none\.pt2"):
        file_bytes(tmp_path / "none.pt2")


def test_a_file_that_is_onnx_by_name_only_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no such thing")
    with pytest.raises(InputError, match=r"model\.onnx is not an ONNX file"):
        file_bytes(tmp_path / "model.onnx")
