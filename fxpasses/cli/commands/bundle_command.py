"""``fxpasses bundle DIR``: a zip that runs the int8 model of a folder on a device without this toolkit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import shared as options
from ..terminal import open_terminal


def bundle_command(
    folder: options.Folder,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The zip.", show_default=False, parser=options.named_path)
    ],
    target: Annotated[
        str,
        typer.Option(
            "--target", metavar="TARGET", help="auto (what the model was quantized for), x86, x86-avx2, arm or cuda."
        ),
    ] = "auto",
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="Names of the classes; default: those of the data."),
    ] = None,
    license_name: Annotated[
        str | None, typer.Option("--license", metavar="TEXT", help="The licence of the model, for its card.")
    ] = None,
    resize: Annotated[
        bool, typer.Option("--resize", help="The image graph takes images of any size, and scales and crops them.")
    ] = False,
    json: options.Json = None,
) -> None:
    """Make a zip for a device: ONNX and ORT files, labels, preprocessing, a test vector, a model card and run.py.

    On the device `python run.py --selftest` says whether it computes the expected integers. Exits with 1 if this
    machine does not.
    """
    with open_terminal(json) as terminal:
        terminal.load("torch", "onnx", "onnxruntime")
        from fxpasses.bundles import BundleSettings, write_bundle

        from ..folders.folder import open_folder

        open_folder(folder)
        with terminal.step("bundle"):
            made = write_bundle(folder, out, BundleSettings(target, labels, license_name, resize))
        terminal.document = made.to_json()
        terminal.ok = made.self_test.passed
        told = made.about["why_no_image"]
        if told:
            terminal.remark(f"no graph takes images: {told}")
        if made.about["classes"] is not None and "names.json" not in made.about["files"]:
            terminal.remark("classes have no names; --labels FILE gives them")
        terminal.results.print(made.self_test.said, markup=False, soft_wrap=True)
        size = out.stat().st_size / 1e6
        terminal.results.print(
            f"{out}: {len(made.about['files']) + 1} files, {size:.2f} MB", markup=False, soft_wrap=True
        )
