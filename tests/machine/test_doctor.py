"""Text of doctor for machines and installations that are not available here."""

from __future__ import annotations

import builtins
import json
import re
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest

from fxpasses.machine import doctor
from fxpasses.machine.doctor import Dependency, diagnose, installed_dependencies

ASKED = ["torch>=2.11", "numpy", 'timm>=1.0; extra == "timm"', "tomli; python_version < '3.11' and extra == 'test'"]
ASKED += ['fxpasses[test,timm]; extra == "dev"', 'nncf[plots]>=2.14; extra == "peers"']


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _: ASKED)
    monkeypatch.setattr(doctor, "installed_version", versions.get)


def without(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``import module`` fail."""
    imported = builtins.__import__

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name == module:
            raise ImportError(name)
        return imported(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_this_installation_is_in_order() -> None:
    diagnosis = diagnose()
    assert diagnosis.problems == ()
    assert diagnosis.ok
    assert "CPUExecutionProvider" in diagnosis.onnxruntime_providers
    assert {"torch", "onnxruntime", "netron", "ptflops"} <= {
        one.name for one in diagnosis.dependencies if not one.extra
    }
    assert [check.target for check in diagnosis.targets] == ["x86", "x86-avx2", "arm", "cuda"]


def test_it_is_json() -> None:
    document = json.loads(json.dumps(diagnose().to_json()))
    assert document["ok"] is True
    assert document["environment"]["versions"]["torch"]
    torch = next(one for one in document["dependencies"] if one["name"] == "torch")
    assert torch["problem"] is None


def test_requirements_are_read_from_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, torch="2.15.0+cu130", numpy="2.4.6")
    assert installed_dependencies() == (
        Dependency("torch", "", "2.11", "2.15.0+cu130"),
        Dependency("numpy", "", "", "2.4.6"),
        Dependency("timm", "timm", "1.0", None),
        Dependency("nncf", "peers", "2.14", None),
    )


def test_what_is_missing_or_old_is_a_problem_unless_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, torch="2.9.1")
    diagnosis = diagnose()
    assert [(problem.what, problem.fix) for problem in diagnosis.problems] == [
        ("torch 2.9.1 is older than 2.11", 'pip install "torch>=2.11"'),
        ("numpy is not installed", 'pip install "numpy"'),
    ]
    assert not diagnosis.ok
    optional = [one for one in diagnosis.dependencies if one.extra]
    assert [(one.problem, one.install) for one in optional] == [
        ("is not installed", 'pip install -U "fxpasses[timm]"'),
        ("is not installed", 'pip install -U "fxpasses[peers]"'),
    ]


@pytest.mark.parametrize(
    ("found", "oldest", "problem"),
    [
        ("2.15.0", "2.11", None),
        ("2.11", "2.11", None),
        ("2.11.0+cpu", "2.11", None),
        ("2.9", "2.11", "2.9 is older than 2.11"),
        ("1.0rc1", "", None),
    ],
)
def test_versions_are_compared_as_numbers(found: str, oldest: str, problem: str | None) -> None:
    assert Dependency("torch", "", oldest, found).problem == problem


def test_a_checkout_that_was_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", not_found)
    [problem] = diagnose().problems
    assert problem.what == "fxpasses itself is not installed, only on the path"
    assert problem.fix == "pip install -e ."


def test_without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    without("onnxruntime", monkeypatch)
    assert [problem.what for problem in diagnose().problems] == ["onnxruntime does not start"]


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    without("torch", monkeypatch)
    assert [problem.what for problem in diagnose().problems] == ["this build of torch has no int8 engine"]


@pytest.mark.parametrize(
    ("target", "reason", "flags", "providers", "suited", "promise"),
    [
        ("x86", None, ("avx2", "avx512_vnni"), (), True, "full speed, sums of 32 bits: exact integers"),
        ("x86", "no VNNI", ("avx2",), (), False, "no VNNI"),
        ("x86", None, (), (), False, "this system does not tell what the CPU can do"),
        ("x86-avx2", None, ("avx2",), (), True, "weights that cannot saturate sums of 16 bits: exact"),
        ("x86-avx2", None, ("avx2", "avx_vnni"), (), True, "where target x86 is more accurate"),
        ("arm", None, ("asimddp",), (), True, "dot product instructions"),
        ("cuda", None, (), ("CPUExecutionProvider",), True, "exact integers.*pip install onnxruntime-gpu"),
        ("cuda", None, (), ("CUDAExecutionProvider",), True, "int8 kernels in PyTorch.*fp16.*no int8 convolutions"),
        ("cuda", "no NVIDIA GPU was found", (), (), False, "no NVIDIA GPU was found"),
    ],
)
def test_targets(
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    reason: str | None,
    flags: tuple[str, ...],
    providers: tuple[str, ...],
    suited: bool,
    promise: str,
) -> None:
    monkeypatch.setattr(doctor, "why_unsuited", lambda _: reason)
    monkeypatch.setattr(doctor, "cpu_flags", lambda: flags)
    monkeypatch.setattr(doctor, "why_no_gpu_kernels", lambda: None)
    check = doctor.check_target(target, providers)
    assert check.suited is suited
    assert re.search(promise, check.promise)


def test_a_gpu_whose_kernels_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "why_unsuited", lambda _: None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert re.search("torch finds no NVIDIA GPU|triton is not installed", doctor.check_target("cuda", ()).promise)
    without("fxpasses.export.engines.cuda.readiness", monkeypatch)  # which imports torch first
    assert doctor.check_target("cuda", ()).promise == "torch cannot be imported"
