"""Audit an ONNX file, or the int8 file of a folder, in one call."""

from __future__ import annotations

from pathlib import Path

from fxpasses.audit.audit_file import AuditReport
from fxpasses.audit.audit_file import audit as audit_of
from fxpasses.cli.folders.artifacts import INT8_ONNX, artifact


def audit(path: str | Path, threads: int = 1) -> AuditReport:
    """List the operators of a file that onnxruntime computes in int8, and those in float with the reasons.

    Args:
        path: an ONNX file, or a folder of ``fxpasses quantize``.
        threads: of onnxruntime while it loads the file.

    Raises:
        InputError: there is no such file, it is no ONNX file, or onnxruntime refuses it.
    """
    path = Path(path)
    return audit_of(artifact(path, INT8_ONNX) if path.is_dir() else path, threads)
