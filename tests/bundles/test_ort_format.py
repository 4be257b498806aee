"""onnxruntime's converter gives all files, the same bytes each time, and errors with its own words."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_folders import bundle

from fxpasses.bundles import unpack_bundle
from fxpasses.bundles.ort_format import convert_to_ort
from fxpasses.errors import InputError


def test_files_and_operators(tmp_path: Path) -> None:
    """The files and the list of operators are those of a bundle."""
    unpack_bundle(bundle(), tmp_path)
    assert all((tmp_path / f"{name}.int8.ort").read_bytes()[4:8] == b"ORTM" for name in ("model", "image"))
    lines = (tmp_path / "required_operators_and_types.config").read_text().splitlines()
    assert any(line.startswith("com.microsoft;1;") and "QLinearConv" in line for line in lines)
    assert not any(line.startswith("#") or "/" in line for line in lines)


@pytest.mark.slow
def test_it_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "model.int8.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"converter to ORT format\n  why: .*model"):
        convert_to_ort(tmp_path, "arm")
