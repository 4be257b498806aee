"""``fxpasses sensitivity``: find the layers that lose most accuracy in int8, or when they are pruned."""

from __future__ import annotations

from ..options import shared
from ..options.sensitivity import Method, SensitivityOptions
from ..options.source import SourceOptions
from ..options.table import takes_groups
from ..terminal import open_terminal


@takes_groups
def sensitivity_command(
    source: SourceOptions, out: shared.Out, options: SensitivityOptions, json: shared.Json = None
) -> None:
    """Find the layers that suffer most: a ranking, plots, and everything as JSON.

    Writes sensitivity.json, sensitivity.html and sensitivity.png into DIR.

    fxpasses sensitivity torchvision/mobilenet_v2 --weights mobilenet_v2.pth --data images=imagenet --out hurts
    """
    with open_terminal(json) as terminal:
        terminal.load("torch", "onnx", "onnxruntime")
        from fxpasses.export.files import staged_folder
        from fxpasses.measure.runners import torch_threads

        from ..folders.artifacts import journal_beside
        from ..given import default_threads
        from ..jobs.sensitivity_pipeline import SENSITIVITY_HTML, quant_into, quant_settings
        from ..pruning.scan import prune_into, scan_settings

        journal = journal_beside(out)
        subject = source.chosen_model, source.chosen_data
        with staged_folder(out) as stage, torch_threads(default_threads(options.threads)):
            if options.method is Method.quant:
                measured = quant_settings(options, source.seed, journal)
                terminal.document = quant_into(stage, *subject, measured, terminal)
            else:
                terminal.document = prune_into(stage, *subject, scan_settings(options, journal), terminal)
        terminal.results.print(f"files in {out}; open {out / SENSITIVITY_HTML} in a browser", soft_wrap=True)
