"""``MODEL_CARD.md``: a description of a model, its measured accuracy and speed, and a list of missing facts.

Numbers are those of ``report.json``. The card says of each fact that is not in the report that it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .contents import EXPECTED, FLOAT_ONNX, IMAGE_ONNX, INT8_ONNX, RUN

MISSING = "not said"
_RUNTIME = "onnxruntime"


def model_card(about: Mapping[str, Any], report: Mapping[str, Any], names: int | None) -> str:
    """The card, in Markdown.

    Args:
        about: ``bundle.json``.
        report: ``report.json`` of the folder it was made of.
        names: how many classes have names; None if none has.
    """
    parts = [f"# {about['model']}, int8", _facts(about, report, names), _measured(report), _input(about), _use(about)]
    return "\n\n".join([*parts, _files(about)]) + "\n"


def _facts(about: Mapping[str, Any], report: Mapping[str, Any], names: int | None) -> str:
    details, data = report.get("model_details") or {}, report.get("data_details") or {}
    weights = details.get("weights_sha256")
    images = data.get("calibration_images")
    classes = MISSING if about["classes"] is None else f"{about['classes']}, {'named' if names else 'without names'}"
    kernels = (report.get("kernels") or {}).get(_RUNTIME)
    rows = {
        "Model": about["model"],
        "Licence": about["license"]
        or f"{MISSING}: ask whoever trained the weights; fxpasses bundle --license names it",
        "Weights": f"SHA-256 {weights}"
        if weights
        else ("pretrained" if details.get("pretrained") else "random or the model's own"),
        "Data": about["data"] or MISSING,
        "Calibrated on": MISSING if images is None else f"{images} images",
        "Classes": classes,
        "Target": f"{about['target']} (quantized for {about['made_for']})",
        "Session options": _options(about),
        "Made": about["created"] or MISSING,
        "Versions": ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version),
        "Measured on": f"{report['environment']['cpu'] or MISSING}" + (f", {kernels} kernels" if kernels else ""),
        "SHA-256 of all scales": about["qparams_sha256"],
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {_cell(value)} |" for key, value in rows.items())])


def _options(about: Mapping[str, Any]) -> str:
    asked = ", ".join(f"{key}={value}" for key, value in about["session_options"].items())
    return f"{asked}, on x86 CPUs without VNNI" if asked else "none"


def _measured(report: Mapping[str, Any]) -> str:
    lines = [
        "## Measured",
        "",
        "| | top-1 | agrees with fp32 | SQNR | batch 1, 1 thread |",
        "|---|---|---|---|---|",
    ]
    for variant in report["variants"]:
        if variant["runtime"] == _RUNTIME:
            accuracy, against = variant["accuracy"], variant["vs_fp32"]
            cells = (
                _number(accuracy["top1"], ".1f", " %", accuracy["images"]),
                _number(against["top1_agreement"], ".1f", " %"),
                _number(against["sqnr_db"], ".1f", " dB"),
                _latency(variant),
            )
            lines.append(f"| {_cell(variant['name'])} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_metrics(report), _parity(report)])


def _metrics(report: Mapping[str, Any]) -> list[str]:
    """Accuracy by a metric other than top-1, if one was requested."""
    told = []
    for variant in report["variants"]:
        metric = variant["accuracy"].get("metric")
        if metric and variant["runtime"] == _RUNTIME:
            told.append(f"{variant['name']}: {metric['title']} {metric['value']:.4g} {metric['unit']}".rstrip() + ".")
    return [*told, ""] if told else []


def _latency(variant: Mapping[str, Any]) -> str:
    found = [entry for entry in variant["latency"] if entry["batch"] == entry["threads"] == 1]
    return _number(found[-1]["p50_ms"] if found else None, ".3g", " ms")


def _number(value: float | None, form: str, unit: str, images: int | None = None) -> str:
    if value is None:
        return "not measured"
    return f"{value:{form}}{unit}" + (f" of {images} images" if images else "")


def _parity(report: Mapping[str, Any]) -> str:
    parity = report["parity"]
    if parity is None:
        return "Whether PyTorch and onnxruntime give the same integers was not measured."
    lsb, images = parity["max_lsb"], parity["images"]
    return f"PyTorch and onnxruntime differ by at most {lsb} LSB at the outputs ({images} images)."


def _input(about: Mapping[str, Any]) -> str:
    image = about["image"]
    if image is None:
        told = ", ".join(f"`{given['name']}`: {given['dtype']} {given['shape']}" for given in about["inputs"])
        return f"## Input\n\n{told}. No graph takes images: {about['why_no_image']}."
    scaling = "scales and crops inside the graph" if image["any_size"] else "of that size"
    return (
        "## Input\n\n"
        f"`{IMAGE_ONNX}`: uint8 `[N, H, W, {image['channels']}]`, {image['height']} x {image['width']}, {scaling}; "
        "preprocessing is in the graph.\n"
        f"`{INT8_ONNX}`: float32 `[N, {image['channels']}, {image['height']}, {image['width']}]`, "
        f"(pixel / 255 - mean) / std with mean {image['mean']} and std {image['std']}.\n"
        f"Other sizes: the shorter side becomes {image['resize_ratio']:.4g} of the model's, bilinear, and the centre "
        "is cut out."
    )


def _use(about: Mapping[str, Any]) -> str:
    photo = f"python {RUN} photo.jpg\n" if about["image"] else ""
    return (
        "## Use\n\n```sh\npip install numpy onnxruntime pillow\n"
        f"python {RUN} --selftest\n{photo}python {RUN} --bench\n```\n\n"
        f"The self-test compares with `{EXPECTED}`: the outputs of exact integer arithmetic. `{FLOAT_ONNX}` is the "
        "model before."
    )


def _files(about: Mapping[str, Any]) -> str:
    rows = [f"| `{name}` | {file['bytes']} | `{file['sha256']}` |" for name, file in about["files"].items()]
    return "\n".join(["## Files", "", "| | bytes | SHA-256 |", "|---|---|---|", *rows])


def _cell(text: object) -> str:
    """Text for a cell of a table, with characters escaped that would end the cell."""
    return " ".join(str(text).split()).replace("|", "\\|")
