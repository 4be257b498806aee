"""Imports have the direction of the data: fxpasses -> export, fxpasses.errors -> models, everything -> cli.

Read from the syntax tree, so that lazy imports inside functions count too. The rules are functions of a module's
name and text; each is shown to bite on a text that breaks it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
UNITS = (
    *("fxpasses.calls", "fxpasses.cli", "fxpasses.sensitivity", "fxpasses.reports", "fxpasses.agreement"),
    *("fxpasses.bundles", "fxpasses.comparing", "fxpasses.serving", "fxpasses.layouts", "fxpasses.measure"),
    "fxpasses.detection",
    *("fxpasses.audit", "fxpasses.machine", "fxpasses.export", "fxpasses.formats", "fxpasses.models", "fxpasses"),
)
"""Units whose imports of each other are tested; the last is the core: all of fxpasses that is in no other unit."""

_EXPORTING = {"fxpasses", "fxpasses.export"}
_MEASURING = {*_EXPORTING, "fxpasses.machine", "fxpasses.measure"}
_SHOWING = {*_MEASURING, "fxpasses.agreement", "fxpasses.audit", "fxpasses.reports"}
_DEPLOYING = {"fxpasses.layouts", "fxpasses.serving"}
MAY_IMPORT_OF_OURS = {
    "fxpasses": {"fxpasses"},
    "fxpasses.export": _EXPORTING,
    "fxpasses.machine": {*_EXPORTING, "fxpasses.machine"},
    "fxpasses.audit": {*_EXPORTING, "fxpasses.machine", "fxpasses.audit"},
    "fxpasses.measure": _MEASURING,
    "fxpasses.agreement": {*_MEASURING, "fxpasses.agreement"},
    "fxpasses.reports": _SHOWING,
    "fxpasses.bundles": {*_SHOWING, "fxpasses.layouts", "fxpasses.bundles"},
    "fxpasses.comparing": {*_EXPORTING, "fxpasses.audit", "fxpasses.comparing"},
    "fxpasses.detection": {*_MEASURING, "fxpasses.agreement", "fxpasses.detection"},
    "fxpasses.formats": {"fxpasses.formats"},
    "fxpasses.models": {"fxpasses.models"},
    "fxpasses.sensitivity": {*_SHOWING, "fxpasses.sensitivity"},
    "fxpasses.layouts": {*_EXPORTING, "fxpasses.formats", "fxpasses.models", "fxpasses.layouts"},
    "fxpasses.serving": {*_EXPORTING, "fxpasses.models", "fxpasses.layouts", "fxpasses.serving"},
    "fxpasses.cli": {
        *(*_SHOWING, "fxpasses.bundles", "fxpasses.comparing", "fxpasses.models", "fxpasses.sensitivity"),
        *(*_DEPLOYING, "fxpasses.detection", "fxpasses.cli"),
    },
    "fxpasses.calls": {*_SHOWING, "fxpasses.sensitivity", "fxpasses.detection", "fxpasses.cli", "fxpasses.calls"},
}
MAY_IMPORT_OF_OTHERS = {
    "fxpasses": {"torch", "numpy", "safetensors"},
    "fxpasses.export": {
        *("torch", "numpy", "safetensors", "netron", "triton"),
        *("onnx", "onnx_ir", "onnxruntime", "onnxscript", "google"),
    },
    "fxpasses.machine": {"torch", "onnxruntime", "rich"},
    "fxpasses.audit": {"torch", "numpy", "onnx", "onnxruntime", "rich"},
    "fxpasses.measure": {
        *("torch", "numpy", "onnx", "onnxruntime", "google"),
        *("ptflops", "torchvision", "torchmetrics", "pycocotools"),
    },
    "fxpasses.agreement": {"torch", "numpy", "onnx"},
    "fxpasses.reports": {"torch", "matplotlib", "rich", "netron", "onnx"},
    "fxpasses.bundles": {"torch", "numpy", "onnx", "onnxruntime", "PIL"},
    "fxpasses.comparing": {"torch", "onnx", "matplotlib"},
    "fxpasses.detection": {"torch", "torchvision", "onnx", "onnx_ir", "onnxruntime", "onnxscript"},
    "fxpasses.formats": {"pydantic"},
    "fxpasses.models": {
        *("torch", "numpy", "safetensors", "torchvision", "sklearn", "PIL"),
        *("timm", "transformers", "ultralytics"),
    },
    "fxpasses.sensitivity": {"torch", "matplotlib", "rich", "tomli"},
    "fxpasses.layouts": {"onnx", "numpy"},
    "fxpasses.serving": {
        *("numpy", "onnxruntime", "PIL", "starlette", "uvicorn", "prometheus_client", "python_multipart"),
    },
    "fxpasses.calls": {"torch", "onnx", "rich"},
    "fxpasses.cli": {
        *("typer", "rich", "click", "torch", "numpy", "torchvision", "onnxruntime"),
        *("netron", "joblib", "ray", "distributed"),
    },
}
ALWAYS = {
    "fxpasses.image_scaling",
    "fxpasses.quantization.repair_table",
    *("fxpasses.errors", "fxpasses.user_frames", "fxpasses.callers_code"),
    *("fxpasses.formats", "fxpasses.formats.regular_files", "fxpasses.signature.label_check"),
}
"""Modules that every unit may import: they use errors, tensors and settings, but no graphs."""
LAZY_ONLY = {
    *("torchvision", "sklearn", "matplotlib", "netron", "ptflops", "timm", "joblib", "PIL"),
    *("torchmetrics", "pycocotools", "transformers", "ultralytics"),
}
"""Modules that are slow to import, or an extra: to be imported inside functions, never at the top of a module."""

ENGINES = "fxpasses.export.engines"
LEAVING_TORCH = (
    *("torch.ao", "torch.quantization", "torch.ops.quantized", "torch.ops.onednn"),
    *("torch.qint8", "torch.quint8", "torch.qint32", "torch.quantize_per_tensor", "torch.quantize_per_channel"),
)
"""Modules that torch has announced to delete, and raw names of its kernels: only the engine adapters may use them."""
UNPICKLING = {"pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open", "joblib.load"}
"""Functions that would run code of a file. A subclass of Unpickler that accepts only data is fine, and so is catching
UnpicklingError.
"""


def unit_of(module: str) -> str | None:
    return next((unit for unit in UNITS if module == unit or module.startswith(unit + ".")), None)


@cache
def modules() -> dict[str, Path]:
    """Files of every module by name; the public names of fxpasses and fxpasses.export are left out."""
    found = {}
    for folder, prefix in (("fxpasses", ""), ("export", "fxpasses."), ("models", "fxpasses.")):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[:2] not in {("fxpasses", "export"), ("fxpasses", "models")}:
                found[prefix + ".".join(parts).removesuffix(".__init__")] = path
    return {
        name: path for name, path in found.items() if name not in {"fxpasses", "fxpasses.__main__", "fxpasses.export"}
    }


@lru_cache(maxsize=1)
def nodes_of(text: str) -> tuple[ast.AST, ...]:
    """Nodes of a text's syntax tree, the tree itself first; not to be changed."""
    return tuple(ast.walk(ast.parse(text)))


def imports(text: str, module: str, *, is_package: bool) -> Iterator[tuple[ast.stmt, str, bool]]:
    """Each import statement, the full name of what it imports, and whether it was written relatively."""
    return imports_among(nodes_of(text), module, is_package=is_package)


def imports_among(nodes: Iterable[ast.AST], module: str, *, is_package: bool) -> Iterator[tuple[ast.stmt, str, bool]]:
    """Imports among the nodes of a tree, as :func:`imports` gives them."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            base = parts[: len(parts) - node.level + is_package] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node, f"{prefix}.{alias.name}", node.level > 0) for alias in node.names)


def dotted(node: ast.expr) -> str:
    """The name ``a.b.c`` that an expression is, else nothing; a call's attribute has none, the called name has."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts, node = [node.attr, *parts], node.value
    return ".".join([node.id, *parts]) if isinstance(node, ast.Name) else ""


def dotted_names(text: str) -> Iterator[str]:
    """Every ``a.b.c`` in the text, from imports and from attribute access."""
    yield from (name for node in nodes_of(text) if isinstance(node, ast.Attribute) and (name := dotted(node)))
    yield from (name for _, name, _ in imports(text, "", is_package=False))


def why_wrong_direction(module: str, imported: str) -> str | None:
    own, root = unit_of(module), imported.split(".")[0]
    assert own is not None
    if any(imported == name or imported.startswith(name + ".") for name in ALWAYS):
        return None
    if root == "fxpasses":
        return None if unit_of(imported) in MAY_IMPORT_OF_OURS[own] else f"{own} may not see {imported}"
    if root in sys.stdlib_module_names or root in MAY_IMPORT_OF_OTHERS[own]:
        return None
    return f"{own} may not use {root}"


def why_wrong_spelling(module: str, imported: str, *, relative: bool) -> str | None:
    """Problem in the spelling of an import: relative inside one unit, full across units; free in the command line."""
    if unit_of(imported) is None or unit_of(module) == "fxpasses.cli":
        return None
    inside = unit_of(module) == unit_of(imported)
    if inside == relative:
        return None
    return f"write {imported} {'relatively' if inside else 'in full'}"


def unsafe_loads(text: str) -> Iterator[str]:
    """Calls that would run code out of a file."""
    yield from (name for _, name, _ in imports(text, "", is_package=False) if name in UNPICKLING)
    for call in (node for node in nodes_of(text) if isinstance(node, ast.Call)):
        function = dotted(call.func)
        if function in UNPICKLING or (function == "torch.load" and not _of_weights_only(call)):
            yield ast.unparse(call)


def _of_weights_only(call: ast.Call) -> bool:
    return any(keyword.arg == "weights_only" and ast.unparse(keyword.value) == "True" for keyword in call.keywords)


def top_level(text: str) -> set[str]:
    """Top-level packages that a module imports when it is itself imported."""
    body: list[ast.stmt] = []
    tree = nodes_of(text)[0]
    assert isinstance(tree, ast.Module)
    for statement in tree.body:
        guarded = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)
        body += [] if guarded else [statement]
    lines = [statement for statement in body if isinstance(statement, ast.Import | ast.ImportFrom)]
    return {name.split(".")[0] for _, name, _ in imports_among(lines, "", is_package=False)}


def why_wrong(module: str, text: str, *, is_package: bool = False) -> list[str]:
    """Sentences on everything that this module must not import or name."""
    reasons: list[str | None] = [
        why_wrong_direction(module, imported) or why_wrong_spelling(module, imported, relative=relative)
        for _, imported, relative in imports(text, module, is_package=is_package)
    ]
    reasons += [f"import {root} where it is used" for root in sorted(top_level(text) & LAZY_ONLY)]
    reasons += [f"{call} may run code out of a file" for call in unsafe_loads(text)]
    if not module.startswith(ENGINES):
        named = [f"{name}." for name in dotted_names(text)]
        leaving = [name for name in LEAVING_TORCH if any(found.startswith(f"{name}.") for found in named)]
        reasons += [f"{name} is for {ENGINES} alone" for name in leaving]
    return sorted({reason for reason in reasons if reason})


def test_every_module() -> None:
    found = [
        f"{module}: {why}"
        for module, path in modules().items()
        for why in why_wrong(module, path.read_text(), is_package=path.name == "__init__.py")
    ]
    assert found == []


@pytest.mark.parametrize(
    ("module", "text", "reason"),
    [
        ("fxpasses.passes.fusion", "import onnx", "fxpasses may not use onnx"),
        ("fxpasses.passes.fusion", "def f():\n    import torchvision", "fxpasses may not use torchvision"),
        ("fxpasses.passes.fusion", "from fxpasses.export import bench", "fxpasses may not see fxpasses.export.bench"),
        ("fxpasses.passes.fusion", "from ..models import lenet", "fxpasses may not see fxpasses.models.lenet"),
        ("fxpasses.quantization.api", "from .. import cli", "fxpasses may not see fxpasses.cli"),
        (
            "fxpasses.export.bench",
            "from fxpasses.models import lenet",
            "fxpasses.export may not see fxpasses.models.lenet",
        ),
        ("fxpasses.export.bench", "import typer", "fxpasses.export may not use typer"),
        (
            "fxpasses.models.nets.lenet",
            "import fxpasses.passes.fusion",
            "fxpasses.models may not see fxpasses.passes.fusion",
        ),
        ("fxpasses.models.nets.lenet", "import onnx", "fxpasses.models may not use onnx"),
        ("fxpasses.export.bench", "from fxpasses.export.a import b", "write fxpasses.export.a.b relatively"),
        ("fxpasses.passes.fusion", "from fxpasses.errors import E", "write fxpasses.errors.E relatively"),
        ("fxpasses.export.bench", "from ..errors import E", "write fxpasses.errors.E in full"),
        ("fxpasses.models.data", "import torchvision", "import torchvision where it is used"),
        ("fxpasses.passes.fusion", "import torch\nx = torch.ao.nn.X", f"torch.ao is for {ENGINES} alone"),
        ("fxpasses.passes.fusion", "from torch.ao import quantization", f"torch.ao is for {ENGINES} alone"),
        (
            "fxpasses.export.onnx_writer.write",
            "torch.ops.quantized.conv2d(x)",
            f"torch.ops.quantized is for {ENGINES} alone",
        ),
        ("fxpasses.models.w", "from pickle import load", "pickle.load may run code out of a file"),
        ("fxpasses.models.w", "pickle.loads(data)", "pickle.loads(data) may run code out of a file"),
        ("fxpasses.models.w", "torch.load(file)", "torch.load(file) may run code out of a file"),
        ("fxpasses.quantization.api", "dtype = torch.quint8", f"torch.quint8 is for {ENGINES} alone"),
    ],
)
def test_bites(module: str, text: str, reason: str) -> None:
    assert why_wrong(module, text) == [reason]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("fxpasses.passes.fusion", "import torch\nfrom ..errors import E\ntorch.ops.quantized_decomposed.x(y)"),
        ("fxpasses.quantization.int8.observe", "from ...errors import E\nfrom ..numbers.qparams import QParams"),
        ("fxpasses.export.bench", "import onnx\nfrom fxpasses.graph.operators import O\nfrom .engines import x86"),
        ("fxpasses.reports.bench", "def f():\n    import matplotlib.pyplot as plt"),
        ("fxpasses.export.engines.x86.engine", "import torch\ntorch.ops.onednn.qconv_pointwise(x)"),
        ("fxpasses.models.data", "from fxpasses.errors import E\ndef f():\n    import torchvision"),
        ("fxpasses.models.weights.load", "import torch\ntorch.load(file, map_location='cpu', weights_only=True)"),
        ("fxpasses.models.weights.load", "import pickle\nclass DataOnly(pickle.Unpickler): ..."),
        ("fxpasses.models.data", "if TYPE_CHECKING:\n    import torchvision"),
        ("fxpasses.cli.quantize", "import typer\nfrom fxpasses.export import bench\nfrom fxpasses.models import lenet"),
    ],
)
def test_lets_pass(module: str, text: str) -> None:
    assert why_wrong(module, text) == []


def test_relative_imports_start_at_the_package() -> None:
    assert why_wrong("fxpasses.export", "from .bench import run", is_package=True) == []
    assert why_wrong("fxpasses.export", "from .bench import run") == ["write fxpasses.bench.run in full"]
