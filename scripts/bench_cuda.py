"""int8 on an NVIDIA GPU beside its rivals, in one run of at most eight minutes, and whether its integers are right.

    python scripts/bench_cuda.py --prepare DIR                    on any machine: graphs and ONNX files
    python scripts/bench_cuda.py --from DIR --out cuda.json       on the machine with the card
    python scripts/bench_cuda.py --dry-run --out cuda.json        the same plan on a CPU, tiny, in Triton's interpreter

A bare machine needs Python, a driver, and wheels: ``pip install torch torchvision .`` (Triton comes with torch), and
``onnxruntime-gpu`` and ``tensorrt`` for the rivals of that name. ``cuda.json`` is written anew after every row; what
did not fit into ``--budget`` seconds is listed in it, with the reason.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from gpu.plan import BATCHES, NETS, Budget, Work, everything

EXACT_NETS = ("resnet18", "mobilenet_v2", "resnet50", "cifar_resnet20")
EXACT_IMAGE, EXACT_BATCH = 64, 2
"""Image and batch size for the check of integers; small, because the reference computes on the CPU."""
H200_GBPS = 4800.0
"""Memory bandwidth of an H200 in GB/s, as published; for other cards, such as an H100 SXM (3350), give ``--gbps``."""


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepare", type=Path, metavar="DIR", help="write graphs and files for later, and stop")
    parser.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="what --prepare wrote")
    parser.add_argument("--out", type=Path, default=Path("cuda.json"), help="results, written after every row")
    parser.add_argument("--budget", type=float, default=470.0, help="seconds for everything")
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--image", type=int, default=224)
    parser.add_argument("--gbps", type=float, default=H200_GBPS, help="of the card's memory, for the roofline")
    parser.add_argument("--dry-run", action="store_true", help="on a CPU: tiny nets, Triton's interpreter")
    given = parser.parse_args(arguments)
    if given.dry_run:
        given.nets, given.batches, given.image = "tiny", "1,2", 8
    given.nets = tuple(given.nets.split(","))
    given.batches = tuple(int(batch) for batch in given.batches.split(","))
    return given


class Run:
    """One run of the benchmark: it measures by the plan and writes the results to a file.

    Attributes:
        document: the content of the file.
    """

    def __init__(self, given: argparse.Namespace, budget: Budget) -> None:
        self.given, self.budget = given, budget
        self.device = "cpu" if given.dry_run else "cuda"
        self.document: dict[str, Any] = {
            "device": _device_name(self.device), "dry_run": given.dry_run, "budget_s": budget.seconds,
            "image": given.image,
            "exact": [], "products": [], "rows": [], "layers": [], "sparse": [], "skipped": [], "failed": [],
        }  # fmt: skip

    def all(self, plan: list[Work]) -> None:
        for work in plan:
            why = self.budget.why_not(work)
            if why is not None:
                self.document["skipped"].append({"what": work.name, "why": why})
            else:
                self._one(work)
            self.document["seconds"] = self.budget.seconds - self.budget.left
            self._write()

    def _one(self, work: Work) -> None:
        from gpu.contestants import MissingError

        print(f"{self.budget.left:5.0f} s left: {work.name}", flush=True)
        try:
            getattr(self, f"_{work.kind}")(work)
        except MissingError as missing:
            self.document["skipped"].append({"what": work.name, "why": str(missing)})
        except Exception as error:  # noqa: BLE001  # one rival's failure must not cost the minutes that are left
            self.document["failed"].append({"what": work.name, "why": repr(error), "where": traceback.format_exc()})

    def _exact(self, work: Work) -> None:
        from gpu.exactness import compared
        from gpu.prepared import images, quantized

        size = self.given.image if self.given.dry_run else EXACT_IMAGE
        graph = quantized(work.net, size, self.given.folder)
        self.document["exact"].append({"net": work.net} | compared(graph, self.device, images(EXACT_BATCH, size)))

    def _product(self, work: Work) -> None:
        from gpu.products import ceilings

        self.document["products"] = ceilings(self.device)

    def _sparse(self, work: Work) -> None:
        from gpu.products import sparse

        self.document["sparse"] = sparse(self.device)

    def _row(self, work: Work) -> None:
        from gpu.clocks import milliseconds
        from gpu.contestants import contestant

        call, told = contestant(work, self.device, self.given.image, self.given.folder)
        took = milliseconds(call, self.device)
        row = {"net": work.net, "batch": work.batch, "rival": work.rival, "ms": took, "per_s": 1e3 * work.batch / took}
        self.document["rows"].append(row | told)

    def _layers(self, work: Work) -> None:
        from gpu.layer_times import layer_times
        from gpu.prepared import images, quantized

        import fxpasses

        graph = quantized(work.net, self.given.image, self.given.folder)
        net = fxpasses.export.to_torch(graph, "cuda", device=self.device)
        best = max((entry["tops"] for entry in self.document["products"]), default=1.0)
        x = images(work.batch, self.given.image).to(self.device)
        self.document["layers"] = layer_times(net, x, best, self.given.gbps)

    def _write(self) -> None:
        from fxpasses.export.files import write_json_atomic

        write_json_atomic(self.given.out, self.document)


def _device_name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "Triton's interpreter"


def main(arguments: list[str]) -> int:
    given = parse(arguments)
    if given.dry_run:
        os.environ["TRITON_INTERPRET"] = "1"
    budget = Budget(given.budget)  # loading torch counts
    if given.prepare is not None:
        from gpu.prepared import prepare

        for nets, image in ((given.nets, given.image), (EXACT_NETS, EXACT_IMAGE)):
            for path in prepare(nets, image, given.prepare):
                print(path)
        return 0
    from fxpasses.errors import InputError
    from fxpasses.export.engines.cuda.readiness import require_kernels

    try:
        import torch

        require_kernels(torch.device("cpu" if given.dry_run else "cuda"))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    run = Run(given, budget)
    run.all(everything(given.nets, given.batches, ("tiny",) if given.dry_run else EXACT_NETS))
    print(f"{given.out}: {len(run.document['rows'])} rows, {len(run.document['skipped'])} skipped")
    return 1 if run.document["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
