"""Sections of lab 3 on the linear mapping by hand, and on a linear layer that uses it."""

from __future__ import annotations

import copy

import torch
from small.mnist_sst2_state import TITLES, MnistSst2
from small.small_mlps import EVALUATION_BATCH

import fxpasses as fx
from by_hand.mapping import (
    EXAMPLE,
    dequantized,
    largest_possible_error,
    packed_bytes,
    quantized,
    scale_and_zero_point,
    with_hand_quantized_layers,
)
from fxpasses.models.training.evaluation import evaluate_top1


def mapping_by_hand(lab: MnistSst2) -> None:
    """2. The linear mapping by hand

    The 4x3 tensor to two bits and back, then to eight, and the same by the toolkit's own functions.
    """
    report = lab.report
    rows: list[list[str | int | float]] = []
    for number, bits in enumerate((2, 8), 1):
        scale, zero_point = scale_and_zero_point(EXAMPLE.min().item(), EXAMPLE.max().item(), bits)
        q = quantized(EXAMPLE, scale, zero_point, bits)
        error = (dequantized(q, scale, zero_point) - EXAMPLE).abs()
        bound = largest_possible_error(EXAMPLE.min().item(), EXAMPLE.max().item(), bits)
        where = f"mapping to {bits} bits"
        report.answer(f"2.{number}a", f"scale for {bits} bits", scale, where=where)
        report.answer(f"2.{number}b", f"zero point for {bits} bits", zero_point, where=where)
        report.answer(f"2.{number}c", f"mean error of {bits} bits", error.mean().item(), where=where)
        report.answer(f"2.{number}d", f"largest error of {bits} bits", error.max().item(), where=where)
        report.answer(f"2.{number}e", f"largest error possible with {bits} bits", bound, where=where)
        report.answer(
            f"2.{number}f", f"bytes of 12 values in {bits} bits (float32: {4 * EXAMPLE.numel()})",
            packed_bytes(EXAMPLE.numel(), bits), "bytes", where,
        )  # fmt: skip
        theirs = fx.linear_parameters(EXAMPLE.min(), EXAMPLE.max(), f"uint{bits}")
        apart = int((fx.quantize_linear(EXAMPLE, *theirs, f"uint{bits}") != q).sum())
        report.answer(f"2.{number}g", f"integers that differ from fx.quantize_linear, {bits} bits", apart, where=where)
        rows = [
            [x, integer, back, abs(back - x)]
            for x, integer, back in zip(
                EXAMPLE.flatten().tolist(), q.flatten().tolist(), dequantized(q, scale, zero_point).flatten().tolist(),
                strict=True,
            )
        ]  # fmt: skip
        report.table(where, ("x", "q", "back", "error"), rows)


def layer_by_hand(lab: MnistSst2) -> None:
    """2. A linear layer by hand in place of nn.Linear

    Every layer of both nets replaced; accuracy, and how far its logits are from float and from torch's own int8.
    """
    rows = []
    for number, (name, task) in enumerate(lab.tasks.items(), 3):
        by_hand = with_hand_quantized_layers(copy.deepcopy(lab.nets[name]))
        limit = 2000 if lab.quick else None
        ours = evaluate_top1(by_hand, task.held_out.batches(EVALUATION_BATCH, limit))
        expected = evaluate_top1(lab.nets[name], task.held_out.batches(EVALUATION_BATCH, limit))
        with torch.no_grad():
            inputs = task.make_input(64)
            off = (by_hand(inputs) - lab.nets[name](inputs)).abs().max().item()
        first = next(m for m in lab.nets[name].modules() if isinstance(m, torch.nn.Linear)).weight.detach()
        differ = _integers_that_differ_from_torch(first)
        where, report = "layers by hand", lab.report
        report.answer(f"2.{number}a", f"{TITLES[name]}: accuracy with layers by hand", ours, "%", where)
        report.answer(f"2.{number}b", f"{TITLES[name]}: largest difference of a logit from float", off, "", where)
        question = f"{TITLES[name]}: weights that torch's fake_quantize_per_tensor_affine rounds otherwise"
        report.answer(f"2.{number}c", question, differ, "", where)
        rows.append([TITLES[name], expected, ours, off, differ])
    columns = ("task", "float32 %", "by hand %", "largest difference of a logit", "other integers than torch")
    lab.report.table("layers by hand", columns, rows)


def _integers_that_differ_from_torch(weight: torch.Tensor) -> int:
    scale, zero_point = scale_and_zero_point(weight.min().item(), weight.max().item(), 8)
    theirs = torch.fake_quantize_per_tensor_affine(weight, scale, zero_point, 0, 255)
    ours = dequantized(quantized(weight, scale, zero_point, 8), scale, zero_point)
    return int((torch.round((theirs - ours) / scale) != 0).sum())
