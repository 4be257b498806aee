"""A diagnosis as text for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .doctor import Dependency, Diagnosis

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def doctor_text(diagnosis: Diagnosis) -> RenderableType:
    """The diagnosis, for a rich console."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_machine(diagnosis), _targets(diagnosis), _extras(diagnosis)]
    for problem in diagnosis.problems:
        parts.append(Text(f"✗ {problem.what}\n  fix: {problem.fix}", style="red"))
    if diagnosis.ok:
        parts.append(Text("✓ nothing is missing that is not optional", style="green"))
    return Group(*parts)


def _machine(diagnosis: Diagnosis) -> Table:
    from rich.text import Text

    facts = diagnosis.environment
    flags, versions = facts["flags"], facts["versions"]
    assert isinstance(flags, list)
    assert isinstance(versions, dict)
    table = _table("machine")
    for name, value in (
        ("CPU", f"{facts['cpu']}, {facts['threads']} threads"),
        ("int8 instructions", " ".join(flags) or "unknown"),
        ("memory", facts["ram"]),
        ("GPU", facts["gpu"] or "none"),
        ("system", facts["os"]),
        ("versions", ", ".join(f"{package} {version or '-'}" for package, version in versions.items())),
        ("torch engines", " ".join(diagnosis.torch_engines) or "none"),
        ("onnxruntime", " ".join(diagnosis.onnxruntime_providers) or "none"),
    ):
        table.add_row(Text(name), Text(str(value)))
    return table


def _targets(diagnosis: Diagnosis) -> Table:
    from rich.text import Text

    table = _table("targets")
    if diagnosis.auto is not None:
        kernels = ", ".join(f"{runtime} {level}" for runtime, level in diagnosis.auto.kernels.items())
        about = f"{diagnosis.auto.target}: {diagnosis.auto.why}; int8 kernels: {kernels}"
        table.add_row(Text("→", style="green"), Text("auto"), Text(about))
    for check in diagnosis.targets:
        mark = Text("✓", style="green") if check.suited else Text("✗", style="yellow")
        table.add_row(mark, Text(check.target), Text(check.promise))
    return table


def _extras(diagnosis: Diagnosis) -> Table:
    """A table of extras with their missing packages, and the command that installs them."""
    from rich.text import Text

    extras: dict[str, list[Dependency]] = {}
    for one in diagnosis.dependencies:
        if one.extra:
            extras.setdefault(one.extra, []).append(one)
    table = _table("optional")
    for extra, packages in extras.items():
        lacking = [one for one in packages if one.problem]
        mark = Text("-", style="dim") if lacking else Text("✓", style="green")
        said = ", ".join(f"{one.name} {one.problem}" for one in lacking) or ", ".join(
            f"{one.name} {one.installed}" for one in packages
        )
        table.add_row(mark, Text(extra), Text(said), Text(packages[0].install if lacking else ""))
    return table


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", box=box.SIMPLE, show_header=False)
