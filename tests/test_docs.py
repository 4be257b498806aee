"""The documentation's code runs, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import fxpasses as fx

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def python_blocks(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def names() -> dict[str, object]:
    """Names that the documents use without a definition: a trained model, an example input and batches."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    batches = [torch.randn(4, 3, 9, 7) for _ in range(2)]
    return {"model": model, "example_inputs": (batches[0],), "batches": batches}


@pytest.mark.parametrize(
    ("document", "block"),
    [("README.md", 0), ("docs/migrating.md", 1), ("docs/repairs.md", 0), ("docs/sensitivity.md", 0)],
)
def test_code_runs(
    document: str, block: int, names: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(python_blocks(document)[block], document, "exec"), names)
    fast = names["fast"]
    assert isinstance(fast, nn.Module)
    assert fast(torch.randn(2, 3, 9, 7)).shape == (2, 5)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_exist(document: Path) -> None:
    named = set(re.findall(r"\bfx\.([A-Za-z]\w*)", document.read_text()))
    torch_fx = {"symbolic_trace", "Graph", "GraphModule", "Node", "Tracer", "Proxy"}
    assert sorted(named - torch_fx - set(dir(fx))) == []
