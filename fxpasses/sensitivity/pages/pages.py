"""The frame of every page of this package: head, model, data, and the command that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fxpasses.reports.html.elements import PAGE_RULES, SCRIPT, Markup, element, joined
from fxpasses.reports.html.made import environment, reproduce
from fxpasses.reports.html.style import STYLE


def page(document: Mapping[str, Any], title: str, content: Markup) -> str:
    """Build a whole page; ``document`` has ``model``, ``data``, ``environment`` and ``command``."""
    head = joined(
        (
            PAGE_RULES,
            element("title", f"{document['model']} – {title}"),
            element("style", Markup(STYLE)),
        )
    )
    about = [str(document["data"]), *([f"target {document['target']}"] if document.get("target") else [])]
    lead = f"{title} · {' · '.join(about)}"
    header = element(
        "header",
        element("div", element("h1", str(document["model"])), element("p", lead, cls="about")),
    )
    version = (document["environment"].get("versions") or {}).get("fxpasses") or ""
    footer = element("footer", f"fxpasses {version} · all numbers are in sensitivity.json")
    body = element("main", header, content, environment(document), reproduce(document), footer)
    return f'<!DOCTYPE html>\n<html lang="en">{element("head", head)}{element("body", body, SCRIPT)}</html>\n'
