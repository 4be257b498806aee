"""``fxpasses bundle DIR``: make files that run the int8 model of a folder without this toolkit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..options import shared
from ..options.bundle import BundleOptions, Layout
from ..options.table import takes_groups
from ..terminal import Terminal, open_terminal


@takes_groups
def bundle_command(folder: shared.Folder, options: BundleOptions, json: shared.Json = None) -> None:
    """Make a zip for a device: ONNX and ORT files, labels, preprocessing, a test vector, a model card and run.py.

    On the device `python run.py --selftest` says whether it computes the expected integers. Exits with 1 if this
    machine does not.
    """
    with open_terminal(json) as terminal:
        terminal.load("torch", "onnx", "onnxruntime")
        from ..folders.folder import open_folder

        open_folder(folder)
        if options.layout is Layout.zip:
            _write_zip(folder, options, terminal)
        else:
            _write_layout(folder, options, terminal)


def _write_zip(folder: Path, options: BundleOptions, terminal: Terminal) -> None:
    from fxpasses.bundles import BundleSettings, write_bundle

    settings = BundleSettings(options.target, options.labels, options.license_name, options.resize)
    with terminal.step("bundle"):
        made = write_bundle(folder, options.out, settings)
    terminal.document = made.to_json()
    terminal.ok = made.self_test.passed
    if made.about["why_no_image"]:
        terminal.remark(f"no graph takes images: {made.about['why_no_image']}")
    if made.about["classes"] is not None and "names.json" not in made.about["files"]:
        terminal.remark("classes have no names; --labels FILE gives them")
    terminal.results.print(made.self_test.said, markup=False, soft_wrap=True)
    size = options.out.stat().st_size / 1e6
    text = f"{options.out}: {len(made.about['files']) + 1} files, {size:.2f} MB"
    terminal.results.print(text, markup=False, soft_wrap=True)


def _write_layout(folder: Path, options: BundleOptions, terminal: Terminal) -> None:
    from fxpasses.layouts.deployed_model import DeployedModel, deployed_model
    from fxpasses.layouts.mlflow import write_mlflow
    from fxpasses.layouts.optimum import write_optimum
    from fxpasses.layouts.triton import write_triton

    options.refuse_what_zips_have()
    writers: dict[Layout, Callable[[Path, DeployedModel], Sequence[str]]] = {
        **{Layout.triton: write_triton, Layout.mlflow: write_mlflow, Layout.optimum: write_optimum}
    }
    with terminal.step("write"):
        remarks = writers[options.layout](options.out, deployed_model(folder))
    for remark in remarks:
        terminal.remark(remark)
    terminal.document = {"layout": options.layout.value, "folder": str(options.out), "remarks": list(remarks)}
    terminal.results.print(f"{options.out}: a folder for {options.layout.value}", markup=False, soft_wrap=True)
