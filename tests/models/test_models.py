"""The package of models: its name, and that its import is fast."""

from __future__ import annotations

import runpy
import subprocess
import sys

import pytest
from repository import ROOT


def test_another_import_name_is_refused() -> None:
    with pytest.raises(ImportError, match=r"its name is 'fxpasses.models'"):
        runpy.run_path(str(ROOT / "models" / "__init__.py"), run_name="models")


@pytest.mark.slow
def test_importing_the_zoo_and_the_data_loads_nothing_heavy() -> None:
    code = (
        "import sys, fxpasses.models.zoo, fxpasses.models.datasets\n"
        "print(*{'torchvision', 'sklearn', 'PIL', 'timm', 'onnx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""
