"""Diagnosis for ``fxpasses doctor``: what this machine can run, with which guarantee, and what is missing.

Packages are looked up by their metadata; only torch and onnxruntime are imported, since only they know their engines.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires

from fxpasses.cpu import cpu_flags, has_vnni

from .environment import environment, installed_version, why_unsuited

_PACKAGE = "fxpasses"
_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?\s*(?P<versions>[^;]*)(;(?P<marker>.*))?$")
_AT_LEAST = re.compile(r">=\s*(?P<version>[0-9.]+)")
_EXTRA = re.compile(r"""extra\s*==\s*["'](?P<extra>[^"']+)["']""")


@dataclass(frozen=True)
class Dependency:
    """A package that fxpasses, or one of its extras, requires.

    Attributes:
        name: its name on PyPI.
        extra: the extra that requires it; empty if fxpasses itself does.
        at_least: the oldest sufficient version; empty if any version is.
        installed: the installed version; None if it is not installed.
    """

    name: str
    extra: str
    at_least: str
    installed: str | None

    @property
    def problem(self) -> str | None:
        """Description of the problem with this package; None if there is none."""
        if self.installed is None:
            return "is not installed"
        if _numbers(self.installed) < _numbers(self.at_least):
            return f"{self.installed} is older than {self.at_least}"
        return None

    @property
    def install(self) -> str:
        """The command that installs a sufficient version."""
        if self.extra:
            return f'pip install -U "{_PACKAGE}[{self.extra}]"'
        return f'pip install "{self.name}{">=" if self.at_least else ""}{self.at_least}"'


@dataclass(frozen=True)
class TargetCheck:
    """Whether models made for a target run here at full speed, and the promise for them."""

    target: str
    suited: bool
    promise: str


@dataclass(frozen=True)
class AutoTarget:
    """The target that replaces ``auto`` on this machine.

    Attributes:
        target: its name.
        why: the reason for it.
        kernels: the level of int8 kernels of each runtime for such a model.
    """

    target: str
    why: str
    kernels: dict[str, str]


@dataclass(frozen=True)
class Problem:
    """A problem that prevents fxpasses from working, and its fix."""

    what: str
    fix: str


@dataclass(frozen=True)
class Diagnosis:
    """The result of ``fxpasses doctor``.

    Attributes:
        environment: as in report.json.
        torch_engines: the int8 engines that torch was built with.
        onnxruntime_providers: the providers that onnxruntime was built with.
        dependencies: every required package, extras included.
        targets: each target on this machine.
        auto: the target that replaces ``--target auto`` here, with the reason and the kernels; None without torch.
        problems: required things that are missing.
    """

    environment: dict[str, object]
    torch_engines: tuple[str, ...]
    onnxruntime_providers: tuple[str, ...]
    dependencies: tuple[Dependency, ...]
    targets: tuple[TargetCheck, ...]
    auto: AutoTarget | None
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether everything required is there."""
        return not self.problems

    def to_json(self) -> dict[str, object]:
        """All data for JSON, with ``ok`` and the commands that install what is missing."""
        packages = [{**asdict(one), "problem": one.problem, "install": one.install} for one in self.dependencies]
        return {**asdict(self), "dependencies": packages, "ok": self.ok}


def diagnose() -> Diagnosis:
    """Examine this machine and its installed packages."""
    dependencies = installed_dependencies()
    problems = [
        Problem(f"{one.name} {one.problem}", one.install) for one in dependencies if one.problem and not one.extra
    ]
    if not dependencies:
        problems.append(Problem(f"{_PACKAGE} itself is not installed, only on the path", "pip install -e ."))
    engines, providers = torch_engines(), onnxruntime_providers()
    if not engines:
        problems.append(Problem("this build of torch has no int8 engine", "install torch from pytorch.org"))
    if "CPUExecutionProvider" not in providers:
        problems.append(Problem("onnxruntime does not start", "pip install --force-reinstall onnxruntime"))
    targets = (check_target(name, providers) for name in ("x86", "x86-avx2", "arm", "cuda"))
    return Diagnosis(environment(), engines, providers, dependencies, tuple(targets), auto_target(), tuple(problems))


def auto_target() -> AutoTarget | None:
    """The target that replaces ``--target auto`` on this machine; None if torch or onnxruntime cannot be imported."""
    try:
        from fxpasses.export.engines.saturation import saturates
        from fxpasses.export.exact_sums import runtime_saturates
        from fxpasses.quantization.numbers.targets import find_target, machine_target

        from .kernel_level import kernel_level

        found = machine_target()
        safe = find_target(found.name).pair_safe
        asked = {"torch": saturates("onednn"), "onnxruntime": runtime_saturates()}
    except ImportError:
        return None
    return AutoTarget(found.name, found.why, {name: kernel_level(answer, safe) for name, answer in asked.items()})


def torch_engines() -> tuple[str, ...]:
    """The int8 engines that torch can compute with; empty if torch cannot be imported."""
    try:
        import torch
    except ImportError:
        return ()
    engines: list[str] = torch.backends.quantized.supported_engines
    return tuple(engine for engine in engines if engine != "none")


def onnxruntime_providers() -> tuple[str, ...]:
    """The providers of onnxruntime; empty if it cannot be imported."""
    try:
        import onnxruntime as ort
    except ImportError:
        return ()
    return tuple(ort.get_available_providers())


def installed_dependencies() -> tuple[Dependency, ...]:
    """The packages that the metadata of fxpasses requires, in its order; empty if fxpasses is not installed."""
    try:
        asked = requires(_PACKAGE) or []
    except PackageNotFoundError:
        return ()
    found = (_dependency(requirement) for requirement in asked)
    return tuple(one for one in found if one is not None and one.name != _PACKAGE)


def _dependency(requirement: str) -> Dependency | None:
    """The dependency in one line of metadata; None if the line is for another version of Python."""
    parts = _REQUIREMENT.match(requirement)
    assert parts, f"not a requirement: {requirement}"
    marker = parts["marker"] or ""
    extra, oldest = _EXTRA.search(marker), _AT_LEAST.search(parts["versions"])
    if "python_version" in marker and installed_version(parts["name"]) is None:
        return None
    return Dependency(
        parts["name"],
        extra["extra"] if extra else "",
        oldest["version"] if oldest else "",
        installed_version(parts["name"]),
    )


def _numbers(version: str) -> tuple[int, ...]:
    """A version as numbers: ``2.15.0+cu130`` is (2, 15, 0)."""
    return tuple(int(number) for number in re.findall(r"\d+", version.split("+")[0])[:3])


def check_target(target: str, providers: tuple[str, ...]) -> TargetCheck:
    """Check whether models made for ``target`` run here at full speed."""
    reason = why_unsuited(target)
    if target == "cuda" and reason is None:
        reason = why_no_gpu_kernels()
    if reason is None and target in ("x86", "x86-avx2") and not cpu_flags():
        reason = "this system does not tell what the CPU can do"
    return TargetCheck(target, reason is None, reason or _promise(target, providers))


def why_no_gpu_kernels() -> str | None:
    """The reason why torch runs no int8 kernels on a GPU of this machine; None if it does."""
    try:
        from fxpasses.export.engines.cuda.readiness import why_no_kernels
    except ImportError:
        return "torch cannot be imported"
    return why_no_kernels()


def _promise(target: str, providers: tuple[str, ...]) -> str:
    """The promise for a model of a target on a machine that suits the target."""
    if target == "x86":
        return "full speed, sums of 32 bits: exact integers"
    if target == "x86-avx2":
        faster = "; this CPU has VNNI, where target x86 is more accurate" if has_vnni(cpu_flags()) else ""
        return f"full speed, weights that cannot saturate sums of 16 bits: exact integers{faster}"
    if target == "arm":
        return "dot product instructions: full speed"
    in_torch = "int8 kernels in PyTorch: exact integers; compare its speed with fp16"
    if "CUDAExecutionProvider" not in providers:
        return f"{in_torch}; onnxruntime has no CUDA provider (pip install onnxruntime-gpu) and runs on the CPU"
    return f"{in_torch}; onnxruntime's CUDA provider has no int8 convolutions"
