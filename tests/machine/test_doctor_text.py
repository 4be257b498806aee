"""A diagnosis on the terminal."""

from __future__ import annotations

from rich.console import Console

from fxpasses.machine.doctor import AutoTarget, Dependency, Diagnosis, Problem, TargetCheck
from fxpasses.machine.doctor_text import doctor_text

FACTS: dict[str, object] = {
    "cpu": "AMD EPYC",
    "flags": ["avx2", "avx512_vnni"],
    "ram": "23.5 GiB",
    "gpu": None,
    "versions": {"python": "3.11.7", "torch": "2.15.0", "torchvision": None},
    "threads": 2,
    "os": "Linux 6 x86_64",
}
TARGETS = (TargetCheck("x86", True, "full speed"), TargetCheck("arm", False, "made for ARM [not here]"))
EXTRAS = (
    Dependency("torch", "", "2.11", "2.15.0"),
    Dependency("timm", "timm", "1.0", "1.0.9"),
    Dependency("nncf", "peers", "2.14", None),
    Dependency("torchao", "peers", "", "0.9"),
)

AUTO = AutoTarget("x86", "it has VNNI", {"torch": "VNNI", "onnxruntime": "VNNI"})


def printed(diagnosis: Diagnosis) -> list[str]:
    console = Console(width=160, color_system=None)
    with console.capture() as captured:
        console.print(doctor_text(diagnosis))
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_everything_is_said() -> None:
    lines = printed(Diagnosis(FACTS, ("x86", "fbgemm"), ("CPUExecutionProvider",), EXTRAS, TARGETS, AUTO, ()))
    for line in (
        "CPU AMD EPYC, 2 threads",
        "int8 instructions avx2 avx512_vnni",
        "memory 23.5 GiB",
        "GPU none",
        "versions python 3.11.7, torch 2.15.0, torchvision -",
        "torch engines x86 fbgemm",
        "onnxruntime CPUExecutionProvider",
        "→ auto x86: it has VNNI; int8 kernels: torch VNNI, onnxruntime VNNI",
        "✓ x86 full speed",
        "✗ arm made for ARM [not here]",
        "✓ timm timm 1.0.9",
        '- peers nncf is not installed pip install -U "fxpasses[peers]"',
        "✓ nothing is missing that is not optional",
    ):
        assert line in lines
    assert not any(line.startswith("✓ torch ") for line in lines)


def test_problems_come_with_their_fix() -> None:
    problem = Problem("torch 2.9 is older than 2.11", 'pip install "torch>=2.11"')
    lines = printed(Diagnosis({**FACTS, "flags": [], "gpu": "NVIDIA H100"}, (), (), (), TARGETS, None, (problem,)))
    at = lines.index("✗ torch 2.9 is older than 2.11")
    assert lines[at + 1] == 'fix: pip install "torch>=2.11"'
    assert "✓ nothing is missing that is not optional" not in lines
    assert "int8 instructions unknown" in lines
    assert "GPU NVIDIA H100" in lines
    assert "torch engines none" in lines
