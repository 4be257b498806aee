"""Shrinks every torchvision classifier: removes 30 % of the channels, and compares with the same channels at zero.

    python scripts/shrink_coverage.py [--models NAME ...] [--ratio 0.3] [--method trace|export]
                                      [--through-layer-norm] [--json FILE] [--torch-pruning]

Weights are random and BatchNorm statistics settled; nothing is downloaded. Channels are chosen by L1 in every group. A
model is ok if the small graph gives, in float64, the outputs of the large one with zeros, up to rounding. Layers that
keep their channels are counted by reason in the JSON. ``--torch-pruning`` runs Torch-Pruning, if it is installed, on
the same models.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import sys
import time
import traceback
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.fx import GraphModule
from zoo_coverage.classifiers import OTHER_SIZES, SMALL, classifiers

import fxpasses as fx
from fxpasses.capturing.attempts import Method
from fxpasses.errors import FxPassesError
from fxpasses.models.zoo import load_model
from fxpasses.pruning import channel_scores, choose_channels, find_dependencies, mask_channels, shrink
from fxpasses.pruning.channels.cost import cost_of

RELATIVE_TOLERANCE = 1e-9
"""Tolerance relative to the largest logit, in float64: sums of 10^5 terms with rounding 1e-16, in some 100 layers."""


@dataclass
class Outcome:
    """Outcome of one model. Shares are relative to the whole model; ``kept`` counts layers by reason."""

    name: str
    status: str = "ok"
    reason: str = ""
    groups: int = 0
    layers: int = 0
    shrunk_layers: int = 0
    params: float = 1.0
    macs: float = 1.0
    relative_error: float | None = None
    seconds: float = 0.0
    torch_pruning: str = ""
    kept: dict[str, int] = field(default_factory=dict)


def cover(
    name: str, ratio: float, *, method: Method = "auto", through_layer_norm: bool = False, rival: bool = False
) -> Outcome:
    """Shrink one model."""
    outcome = Outcome(name)
    start = time.perf_counter()
    size = OTHER_SIZES.get(name, SMALL)
    loaded = load_model(f"torchvision/{name}", image_size=size)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    try:
        graph = fx.capture(loaded.module, images, method=method)
        _shrink(graph, images, ratio, through_layer_norm, outcome)
    except FxPassesError as error:
        outcome.status, outcome.reason = "refused", str(error)
    except Exception:  # noqa: BLE001  # the point of the script is to find what escapes
        outcome.status, outcome.reason = "CRASH", traceback.format_exc()
    outcome.seconds = round(time.perf_counter() - start, 1)
    if rival:
        outcome.torch_pruning = torch_pruning(loaded.module, images, ratio)
    return outcome


def _shrink(graph: GraphModule, images: Tensor, ratio: float, through_layer_norm: bool, outcome: Outcome) -> None:
    dependencies = find_dependencies(graph, through_layer_norm=through_layer_norm)
    removal = choose_channels(dependencies, ratio, channel_scores(graph))
    small = shrink(removal, verify=False)
    before, after = cost_of(removal.none()), cost_of(removal)
    outcome.groups, outcome.layers = len(dependencies.groups), len(dependencies.made)
    outcome.shrunk_layers = len(removal.channels())
    outcome.params, outcome.macs = round(after.params / before.params, 3), round(after.macs / before.macs, 3)
    outcome.kept = dict(Counter(str(reason) for reason in dependencies.frozen.values()))
    with torch.no_grad():
        expected = mask_channels(removal).double()(images.double())
        found = small.double()(images.double())
    outcome.relative_error = float((expected - found).abs().max() / expected.abs().max())
    if not outcome.relative_error < RELATIVE_TOLERANCE:
        outcome.status, outcome.reason = "failed", f"off by {outcome.relative_error:.2g} of the largest logit"


def torch_pruning(module: nn.Module, images: Tensor, ratio: float) -> str:
    """Result of Torch-Pruning (Fang et al. 2023) for the model: the share of parameters left, or its error."""
    import torch_pruning as tp  # type: ignore[import-not-found, unused-ignore]

    model = copy.deepcopy(module)
    before = sum(p.numel() for p in model.parameters())
    heads = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 1000]
    try:
        importance = tp.importance.MagnitudeImportance(p=1)
        tp.pruner.MagnitudePruner(
            model, images, importance=importance, pruning_ratio=ratio, ignored_layers=heads
        ).step()
        with torch.no_grad():
            model(images)
    except Exception as error:  # noqa: BLE001  # an error of the other library is a result
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:80]}"
    return f"{sum(p.numel() for p in model.parameters()) / before:.3f}"


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(title="torchvision classifiers: channels removed, compared with the same channels at zero")
    headings = "model status groups layers shrunk params MACs error s Torch-Pruning reason"
    for heading in headings.split():
        table.add_column(heading, overflow="fold")
    for o in outcomes:
        error = "" if o.relative_error is None else f"{o.relative_error:.0e}"
        first_line = o.reason.strip().splitlines()[-1 if o.status == "CRASH" else 0] if o.reason else ""
        cells = (o.groups, o.layers, o.shrunk_layers, o.params, o.macs, error, o.seconds, o.torch_pruning)
        table.add_row(o.name, o.status, *map(str, cells), first_line)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", metavar="NAME", help="only these (default: all 80)")
    parser.add_argument("--ratio", type=float, default=0.3, help="of the channels of each group")
    parser.add_argument("--method", choices=("auto", "trace", "export"), default="auto", help="of capture")
    parser.add_argument("--through-layer-norm", action="store_true", help="let LayerNorm lose channels")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes here, after every model")
    parser.add_argument("--torch-pruning", action="store_true", help="run the rival, too")
    arguments = parser.parse_args()
    outcomes = list[Outcome]()
    for name in arguments.models or classifiers():
        outcome = cover(
            name,
            arguments.ratio,
            method=arguments.method,
            through_layer_norm=arguments.through_layer_norm,
            rival=arguments.torch_pruning,
        )
        outcomes.append(outcome)
        line = f"{outcome.status:7} {name:24} {outcome.seconds:6.1f} s  params {outcome.params:.2f}"
        print(f"{line}  {outcome.torch_pruning}  {outcome.reason[:200]}", file=sys.stderr, flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=1))
        gc.collect()
    console = Console()
    console.print(_table(outcomes))
    counts = Counter(outcome.status for outcome in outcomes)
    console.print(f"{counts['ok']} of {len(outcomes)} shrink exactly, {counts['CRASH']} without a clear error")
    return 0 if not counts["CRASH"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
