"""Compares calibration with torch.ao's: the same graph, the same observed tensors, histogram observers of either kind.

python scripts/bench_calibration.py                                       random weights, random images
python scripts/bench_calibration.py --weights FILE --data images=DIR      a trained model on real images

Time: both in one process, in turn, each with fresh observers; a time includes working out all scales. Ours runs by
``fxpasses.calibrate``, theirs, which has no such step, by calling the model on each batch in inference mode. Memory:
the peak of a fresh process for each number of images, batches made as they are needed. "before" is that process's peak
with torch and torchvision loaded and the graph observed: all calibration starts there, whatever the observer.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peak_memory import peak_memory_bytes

if TYPE_CHECKING:
    from torch import Tensor, fx

    from fxpasses.models.data.data_source import DataSource

OURS, THEIRS = "fxpasses", "torch.ao"
CHILD_TIMES, CHILD_MEMORY = "--times", "--memory"


def observed_graph(options: argparse.Namespace, who: str) -> tuple[fx.GraphModule, DataSource]:
    """Fuse the model and insert our histogram observers; return the graph and the data."""
    import torch

    import fxpasses
    from fxpasses.models.datasets import open_dataset
    from fxpasses.models.zoo import load_model

    torch.set_num_threads(options.threads)
    model = load_model(options.model, options.weights)
    graph = fxpasses.fuse(fxpasses.capture(model.module, model.example_inputs()))
    config = fxpasses.QuantConfig(observer="histogram", bias_correction=who == OURS)  # theirs corrects no bias
    return fxpasses.observe(graph, config), open_dataset(options.data, model)


def with_observers_of(who: str, graph: fx.GraphModule) -> fx.GraphModule:
    """Copy the graph with fresh observers: ours, or torch.ao's with as many bins and levels."""
    graph = copy.deepcopy(graph)
    if who == OURS:
        return graph
    import torch
    from torch.ao.quantization.observer import HistogramObserver

    from fxpasses.quantization.int8.observe import find_observers

    for node in find_observers(graph).values():
        theirs = HistogramObserver(bins=2048, dtype=torch.uint8, qscheme=torch.per_tensor_affine)
        graph.set_submodule(str(node.target), theirs)
    return graph


def calibration_seconds(who: str, graph: fx.GraphModule, batches: Iterable[Tensor]) -> float:
    """Seconds to run the batches and to compute every scale."""
    import torch

    import fxpasses
    from fxpasses.quantization.int8.observe import find_observers
    from fxpasses.quantization.numbers.qparams import UINT8

    observers: list[Any] = [graph.get_submodule(str(node.target)) for node in find_observers(graph).values()]
    started = time.perf_counter()
    if who == OURS:
        fxpasses.calibrate(graph, batches)
        for observer in observers:
            observer.qparams(UINT8)
    else:
        with torch.inference_mode():
            for batch in batches:
                graph(batch)
        for observer in observers:
            observer.calculate_qparams()
    return time.perf_counter() - started


def measure_times(options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each round, by contender."""
    opened = {who: observed_graph(options, who) for who in (OURS, THEIRS)}
    batches = list(opened[OURS][1].calibration(max(options.images), options.batch))
    calibration_seconds(OURS, with_observers_of(OURS, opened[OURS][0]), batches[:1])  # allocators and caches warm
    seconds: dict[str, list[float]] = {OURS: [], THEIRS: []}
    for _ in range(options.rounds):
        for who, taken in seconds.items():
            taken.append(calibration_seconds(who, with_observers_of(who, opened[who][0]), batches))
    return seconds


def measure_memory(options: argparse.Namespace) -> dict[str, float]:
    """Peak memory of this process in MB, before and after it calibrates on the first of ``options.images``."""
    graph, data = observed_graph(options, options.memory)
    graph = with_observers_of(options.memory, graph)
    before = peak_memory_mb()
    calibration_seconds(options.memory, graph, data.calibration(options.images[0], options.batch))
    return {"images": options.images[0], "before_mb": before, "peak_mb": peak_memory_mb()}


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far."""
    return peak_memory_bytes() / 2**20


def in_child(arguments: Sequence[str]) -> Any:
    """Run this script in a fresh process with these arguments, and return the JSON it prints."""
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def summary(seconds: dict[str, list[float]], memory: dict[str, list[dict[str, float]]], images: int) -> list[str]:
    """Lines to print."""
    lines = [f"{'':10}{'seconds':>22}{'images/s':>10}   peak memory, MB"]
    for who, taken in seconds.items():
        spread = f"{min(taken):.1f} (best of {len(taken)})"
        peaks = ", ".join(f"{m['peak_mb']:.0f} at {m['images']} images" for m in memory[who])
        lines.append(
            f"{who:10}{spread:>22}{images / min(taken):>10.1f}   {peaks} ({memory[who][0]['before_mb']:.0f} before)"
        )
    ratios = sorted(theirs / ours for ours, theirs in zip(seconds[OURS], seconds[THEIRS], strict=True))
    lines.append(f"{OURS} is {ratios[0]:.1f} to {ratios[-1]:.1f} times as fast, round by round")
    return lines


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="torchvision/mobilenet_v2")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--data", default="random=3x224x224")
    parser.add_argument("--images", type=int, nargs="+", default=[64, 256], help="memory: each; time: the largest")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument(CHILD_TIMES, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(CHILD_MEMORY, choices=(OURS, THEIRS), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = parse(arguments)
    if options.times or options.memory:
        warnings.simplefilter("ignore")  # torch.ao warns of its own deletion
        print(json.dumps(measure_times(options) if options.times else measure_memory(options)))
        return 0
    seconds = in_child([*arguments, CHILD_TIMES])
    memory = {
        who: [in_child([*arguments, CHILD_MEMORY, who, "--images", str(images)]) for images in options.images]
        for who in (OURS, THEIRS)
    }
    print("\n".join(summary(seconds, memory, max(options.images))))
    if options.json:
        options.json.write_text(
            json.dumps({"seconds": seconds, "memory": memory, "threads": options.threads}, indent=2)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
