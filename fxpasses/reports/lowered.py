"""Report entries of a LOWERED graph: the log of its passes, and the precision of each operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import fx

from fxpasses.graph.edit import operator_of
from fxpasses.graph.pass_runner import pass_logs
from fxpasses.graph.shapes import shape_of

from .numbers import condition_text


def lowered_account(gm: fx.GraphModule, precision: str) -> dict[str, Any]:
    """Entries ``passes`` and ``layers``, as for a QUANTIZED graph; ``precision`` is that of changed layers."""
    passes = [
        {
            "name": log.name,
            "changed": [{"node": c.node, "what": c.what} for c in log.result.changed],
            "skipped": [{"node": s.node, "why": s.text} for s in log.result.skipped],
        }
        for log in pass_logs(gm)
    ]
    last = pass_logs(gm)[-1].result
    changed = {c.node for c in last.changed}
    reasons = {s.node: s.why for s in last.skipped}
    layers = [
        _layer(gm, node, precision if node.name in changed else "float", reasons.get(node.name))
        for node in gm.graph.nodes
        if node.name in changed or node.name in reasons
    ]
    return {"passes": passes, "layers": layers}


def _layer(gm: fx.GraphModule, node: fx.Node, precision: str, why: str | None) -> dict[str, Any]:
    operator, shape = operator_of(gm, node), shape_of(node)
    module = gm.get_submodule(str(node.target)) if node.op == "call_module" else None
    name = getattr(module, "operator", None) or (operator.name if operator else str(node.target))
    weights = getattr(module, "weights", None)
    if weights is None and module is not None:
        weights = sum(p.numel() for n, p in module.named_parameters() if n.endswith("weight"))
    return {
        "node": node.name,
        "module": str(node.target) if module is not None else None,
        "operator": name,
        "precision": precision,
        "why": why,
        "shape": [int(size) for size in shape[1:]] if shape else None,
        "scale": None,
        "zero_point": None,
        "weights": int(weights or 0),
    }


def slower_than_float(variants: Sequence[dict[str, Any]], reason: str) -> list[str]:
    """Return a sentence for each variant that is slower than float32 in its runtime, beyond the noise of the
    measurement.
    """
    found = []
    for variant in variants:
        for entry in variant["latency"]:
            quartiles = entry.get("speedup_quartiles")
            if quartiles is None or quartiles[1] >= 1:
                continue
            times = 1 / entry["speedup_vs_fp32"]
            found.append(
                f"{variant['name']} takes {times:.2f} times as long as fp32 on this CPU "
                f"({condition_text(entry)}): {reason}"
            )
    return found
