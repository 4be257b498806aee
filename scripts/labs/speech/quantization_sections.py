"""Sections of lab 1 on quantization by hand: histograms, one part after the other, integers alone, and fewer bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from by_hand.integer_chain import bits_needed, by_course_shift, by_long_multiplier, bytes_of
from by_hand.quantization import MakeRequantization, Parts, integer_net, ranges_of, simulated
from by_hand.toolkit_chain import integer_net_of
from lab_report import Row
from torch import Tensor, nn
from torch.fx import GraphModule

import fxpasses as fx
from fxpasses.export.integer_tensors import torch_integers
from speech.quantization_state import TITLES, Quantization, SmallNet, accuracy_of, top1

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BITS = range(2, 9)
SHIFTS: dict[str, tuple[str, MakeRequantization]] = {
    "a": ("16 bits, down", by_course_shift),
    "b": ("31 bits, to nearest", by_long_multiplier),
}
EXACT_INPUTS = 100
STEPS = (
    ("weights", Parts(activations=False, biases=False)),
    ("weights and activations", Parts(biases=False)),
    ("weights, activations and biases", Parts()),
)


def histograms(lab: Quantization) -> None:
    """1. Ranges of weights and activations

    For each layer: smallest and largest weight, three deviations, and the range of what it gives on training inputs.
    """
    rows: list[Row] = []
    for number, (name, net) in enumerate(lab.nets.items(), 1):
        ranges = ranges_of(net.chain, net.calibration, 1.0)
        layers = [link for link in net.chain if link.layer is not None]
        for letter, link in zip("abcd", layers, strict=False):
            assert link.layer is not None
            weight, spread = link.layer.weight.detach(), 3 * link.layer.weight.detach().std().item()
            low, high = ranges[link.name]
            rows.append([name, link.name, weight.min().item(), weight.max().item(), spread, low, high])
            what, where = f"{TITLES[name]}, {link.name}", f"weights_{name}.png"
            lab.report.answer(
                f"1.{number}{letter}1", f"{what}: largest absolute weight", weight.abs().max().item(), "", where
            )
            lab.report.answer(f"1.{number}{letter}2", f"{what}: three deviations of its weights", spread, "", where)
            question = f"{what}: width of the range of its outputs"
            lab.report.answer(f"1.{number}{letter}3", question, high - low, "", f"activations_{name}.png")
        weights = {link.name: link.layer.weight.detach() for link in layers if link.layer is not None}
        lab.report.plot(f"weights_{name}", partial(_histograms, tensors=weights, what="weights"))
        lab.report.plot(f"activations_{name}", partial(_histograms, tensors=_outputs(net), what="outputs"))
    columns = ("net", "layer", "least weight", "largest weight", "three deviations", "least output", "largest output")
    lab.report.table("ranges", columns, rows)


@torch.no_grad()
def _outputs(net: SmallNet) -> dict[str, Tensor]:
    x, found = net.calibration, {}
    for link in net.chain:
        x = link(x)
        if link.layer is not None:
            found[link.name] = x
    return found


def _histograms(axes: Axes, tensors: dict[str, Tensor], what: str) -> None:
    for name, values in tensors.items():
        axes.hist(values.flatten().numpy(), bins=64, density=True, histtype="step", label=name)
    axes.set(xlabel=what, ylabel="density", yscale="log")
    axes.legend()


def part_by_part(lab: Quantization) -> None:
    """2. One part after the other to eight bits

    Accuracy in float, then with weights, with activations too, with biases too; one scale for a tensor.
    """
    rows: list[Row] = []
    for number, (name, net) in enumerate(lab.nets.items(), 1):
        ranges = ranges_of(net.chain, net.calibration)
        found = [("nothing", accuracy_of(net.net, net.inputs, net.labels))]
        found += [(what, top1(simulated(net.chain, ranges, net.inputs, parts), net.labels)) for what, parts in STEPS]
        for letter, (what, accuracy) in zip("abcd", found, strict=True):
            question = f"{TITLES[name]}: test accuracy with {what} rounded to 8 bits"
            lab.report.answer(f"2.{number}{letter}", question, accuracy, "%", "part by part")
        if net.train_accuracy is not None:
            question = f"{TITLES[name]}: accuracy in float on its training data"
            lab.report.answer(f"2.{number}e", question, net.train_accuracy, "%", "part by part")
        rows.append([TITLES[name], *(accuracy for _, accuracy in found)])
    lab.report.table("part by part", ("net", "float %", *(f"{what} %" for what, _ in STEPS)), rows)


def integers_alone(lab: Quantization) -> None:
    """3. Integers alone

    int32 sums and a shift in place of every division: once by 16 bits, rounding down, once to nearest with a multiplier
    of 31 bits. How many predictions equal float's, how far logits are, and how large the net is.
    """
    rows: list[Row] = []
    for number, (name, net) in enumerate(lab.nets.items(), 1):
        ranges = ranges_of(net.chain, net.calibration)
        with torch.no_grad():
            expected = net.net(net.inputs)
        for letter, (how, requantization) in SHIFTS.items():
            integers = integer_net(net.chain, ranges, requantization)
            logits = torch.from_numpy(integers(net.inputs.numpy()))
            same = 100 * (logits.argmax(1) == expected.argmax(1)).double().mean().item()
            error, accuracy = (logits - expected).square().mean().item(), top1(logits, net.labels)
            what, where = f"{TITLES[name]}, shift by {how}", "integers alone"
            lab.report.answer(f"3.{number}{letter}1", f"{what}: accuracy", accuracy, "%", where)
            lab.report.answer(f"3.{number}{letter}2", f"{what}: same prediction as float", same, "%", where)
            lab.report.answer(f"3.{number}{letter}3", f"{what}: mean squared error of the logits", error, "", where)
            rows.append([TITLES[name], how, accuracy, same, error])
        question = f"{TITLES[name]}: bytes of weights and biases"
        lab.report.answer(f"3.{number}c", question, bytes_of(integers), "bytes", "integers alone")
        wide = bits_needed(integers, net.calibration[:EXACT_INPUTS].numpy())
        lab.report.answer(f"3.{number}d", f"{TITLES[name]}: bits of the widest sum", wide, "bits", "integers alone")
    lab.report.table("integers alone", ("net", "shift", "top-1 %", "same as float %", "mean squared error"), rows)


def equal_to_the_toolkit(lab: Quantization) -> None:
    """4. The toolkit's int8 nets by hand

    The integers of ``fx.quantize`` run in numpy by shifts alone, against the exact reference of the toolkit: how many
    integers of any tensor differ, and how many logits in any bit.
    """
    rows: list[Row] = []
    for number, (name, net) in enumerate(lab.nets.items(), 1):
        int8 = quantized_by_toolkit(net, fx.QuantConfig())
        inputs = net.inputs[:EXACT_INPUTS]
        found, logits = integer_net_of(int8).tensors(inputs.numpy())
        reference = fx.export.to_torch(int8, "reference")
        with torch.no_grad():
            expected, result = torch_integers(reference, (inputs,)), reference(inputs)
        apart = sum(int((torch.from_numpy(q) != expected[key].int()).sum()) for key, q in found.items())
        values = sum(q.size for q in found.values())
        bits = int((torch.from_numpy(logits).view(torch.int32) != result.view(torch.int32)).sum())
        what, where = TITLES[name], "equal to the toolkit"
        lab.report.answer(f"4.{number}a", f"{what}: integers compared", values, "", where)
        lab.report.answer(f"4.{number}b", f"{what}: integers that differ", apart, "", where)
        lab.report.answer(f"4.{number}c", f"{what}: logits that differ in any bit", bits, "", where)
        accuracy = accuracy_of(fx.export.to_torch(int8), net.inputs, net.labels)
        lab.report.answer(f"4.{number}d", f"{what}: accuracy in int8", accuracy, "%", where)
        rows.append([what, values, apart, bits, accuracy])
    columns = ("net", "integers compared", "that differ", "logits that differ", "top-1 %")
    lab.report.table("equal to the toolkit", columns, rows)


def quantized_by_toolkit(net: SmallNet, config: fx.QuantConfig) -> GraphModule:
    """Quantize the net to a QUANTIZED graph."""
    return fx.quantize(net.net, (net.calibration[:2],), torch.split(net.calibration, 64), config)


def fewer_bits(lab: Quantization) -> None:
    """5. Accuracy against bits, without training

    Weights and activations of 2 to 8 bits by hand, and weights of 2 to 8 bits by the toolkit (activations of 8).
    """
    rows: list[Row] = []
    curves: dict[str, list[float]] = {}
    for name, net in lab.nets.items():
        ranges = ranges_of(net.chain, net.calibration)
        by_hand = [top1(simulated(net.chain, ranges, net.inputs, Parts(bits)), net.labels) for bits in BITS]
        toolkit = [accuracy_of(module, net.inputs, net.labels) for module in _few_bit_weights(net)]
        curves |= {f"{TITLES[name]}, by hand": by_hand, f"{TITLES[name]}, weights by the toolkit": toolkit}
        rows += [[TITLES[name], *row] for row in zip(BITS, by_hand, toolkit, strict=True)]
    lab.report.table("accuracy against bits", ("net", "bits", "by hand %", "weights by the toolkit %"), rows)
    lab.report.plot("accuracy_against_bits", lambda axes: _curves(axes, curves))
    for number, (curve, values) in enumerate(curves.items(), 1):
        for bits, value in zip(BITS, values, strict=True):
            question = f"{curve}: accuracy with {bits} bits"
            lab.report.answer(f"5.{number}.{bits}", question, value, "%", "accuracy_against_bits.png")


def _few_bit_weights(net: SmallNet) -> Iterator[nn.Module]:
    """Yield the net with weights of each number of bits, by the toolkit; calibrated once, since
    ranges stay the same.
    """
    config, batches = fx.QuantConfig(weight_search="mse"), list(torch.split(net.calibration, 64))
    graph = fx.fuse(fx.capture(net.net, (net.calibration[:2],)))
    graph = fx.observe(fx.align_pixels(fx.equalize(graph, batches), batches), config)
    fx.calibrate(graph, batches)
    for bits in BITS:
        yield fx.export.to_torch(fx.convert(graph, replace(config, weight_bits=bits)))


def _curves(axes: Axes, curves: dict[str, list[float]]) -> None:
    for name, values in curves.items():
        axes.plot(list(BITS), values, marker="o", label=name)
    axes.set(xlabel="bits", ylabel="top-1 %", title="nothing trained after rounding")
    axes.legend()
