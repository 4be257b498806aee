"""Pages of the documentation site that are made from other files: the README and its neighbours, and the API reference.

    mkdocs build --strict

mkdocs calls the functions whose names begin with ``on_``.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NEIGHBOURS = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security_policy.md",
}
"""Files of the repository's top folder, and the pages they become."""
PACKAGES = {
    "fxpasses": "What `import fxpasses as fx` gives.",
    "export": "What `fx.export` gives: files, modules that run, and what compares and measures them.",
    "training": "What `fx.training` gives: quantization-aware training, step by step.",
    "pruning": "What `fx.pruning` gives: masks, dependencies, and graphs that are smaller.",
    "detection": "What `fx.detection` gives: whole detectors of torchvision.",
    "binary": "What `fx.binary` gives: binary and ternary networks.",
}
"""Packages with public names, and the first line of their pages."""
RESULTS = (
    "fxpasses.quantization.config.Override",
    "fxpasses.calls.pruned_model.PrunedModel",
    "fxpasses.calls.run_report.RunReport",
    "fxpasses.agreement.parity_check.ParityReport",
    "fxpasses.audit.audit_file.AuditReport",
    "fxpasses.measure.latency.BenchResult",
    "fxpasses.micronet.api.MicroNetScore",
)
"""Types that public functions take and return, and that have no name of their own in a package."""
SUBPACKAGES = {"binary", "detection", "export", "models", "pruning", "training"}
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
LINK_OR_PICTURE = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
ROLE = re.compile(r":(?:func|class|mod|meth|attr|data|exc):<code>([^<]*)</code>")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to files that are no page of the site become plain text."""
    return linked(markdown, Path("docs") / page.file.src_uri)


def on_page_content(html: str, **_: Any) -> str:
    """Roles of docstrings, as ``:func:`fxpasses.capture```, become code."""
    return ROLE.sub(lambda found: f"<code>{found[1].lstrip('~.')}</code>", html)


def pages() -> dict[str, str]:
    """Every page that is made, by its name in the site."""
    made = {page: (ROOT / name).read_text("utf-8") for name, page in NEIGHBOURS.items() if (ROOT / name).is_file()}
    made = {page: moved(text) for page, text in made.items()}
    made["api/results.md"] = "\n".join(
        ["# Results and settings", "", "What public functions return, or take beside numbers.", ""]
        + [f"::: {name}\n    options:\n      members: [to_json]\n" for name in RESULTS]
    )
    return made | {f"api/{package}.md": reference(package) for package in PACKAGES}


def moved(text: str) -> str:
    """The text of a file of the top folder as a page: its links and pictures start in docs/ now."""

    def target(found: re.Match[str]) -> str:
        words, link = found.groups()
        path, hash_, anchor = link.partition("#")
        if path in NEIGHBOURS:
            path = NEIGHBOURS[path]
        elif path.startswith("docs/"):
            path = path.removeprefix("docs/")
        elif path and not re.match(r"[a-z]+:", path):
            path = f"../{path}"
        return f"[{words}]({path}{hash_}{anchor})"

    return LINK_OR_PICTURE.sub(target, text)


def linked(text: str, page: Path) -> str:
    """The text of a page, where links to sources are no links, and links to files of the top folder lead to pages."""

    def target(found: re.Match[str]) -> str:
        words, link = found.groups()
        path, _, _ = link.partition("#")
        if not path.startswith("../") or page.parent != Path("docs"):
            return found[0]
        name = path.removeprefix("../")
        return f"[{words}]({NEIGHBOURS[name]})" if name in NEIGHBOURS else words

    return LINK.sub(target, text)


def reference(package: str) -> str:
    """The page of a package: every public name, with what its docstring says."""
    prefix = "fxpasses" if package == "fxpasses" else f"fxpasses.{package}"
    lines = [f"# Public names of {prefix}", "", PACKAGES[package], ""]
    lines += [f"::: {prefix}.{name}\n" for name in public_names(package)]
    return "\n".join(lines)


def public_names(package: str) -> list[str]:
    """The names that a package's ``__init__`` imports under their own name, in the order of the alphabet."""
    folder = {"fxpasses": "fxpasses", "export": "export"}.get(package, f"fxpasses/{package}")
    tree = ast.parse((ROOT / folder / "__init__.py").read_text("utf-8"))
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    names = {alias.asname for node in imports for alias in node.names if alias.asname == alias.name}
    return sorted({name for name in names if name} - SUBPACKAGES, key=str.lower)
