"""Two models in Netron beside each other: one page with a frame for each, all served to this machine only."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fxpasses.errors import InputError

from ..html.elements import Markup, element, joined
from ..netron_process import NetronProcess, start_netron
from ..view import Viewer, require_viewable, view

_HOST = "localhost"
_STYLE = """
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
html, body { height: 100%; margin: 0; }
body { display: flex; font: 14px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
section { flex: 1 1 0; min-width: 0; display: flex; flex-direction: column; }
section + section { border-left: 2px solid #8c95a1; }
h1 { font-size: 14px; margin: 0; padding: 8px 12px; overflow-wrap: anywhere; }
h1 a { color: inherit; }
iframe { flex: 1 1 auto; width: 100%; border: 0; }
@media (max-width: 800px) {
  body { flex-direction: column; }
  section + section { border-left: 0; border-top: 2px solid #8c95a1; }
}
"""


@dataclass(frozen=True)
class SideBySide:
    """A page with two running Netrons."""

    viewers: tuple[Viewer | NetronProcess, Viewer | NetronProcess]
    server: ThreadingHTTPServer

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.server.server_address[1]}"

    def stop(self) -> None:
        """Stop serving the page and both models."""
        self.server.shutdown()
        self.server.server_close()
        for viewer in self.viewers:
            viewer.stop()


def view_both(a: Path, b: Path, port: int | None = None, *, browse: bool = True) -> SideBySide:
    """Serve two files in Netron and a page that shows both; in the browser if ``browse``. Returns at once.

    Args:
        port: of the page; without it a free one is found, as for the two viewers behind it.

    Raises:
        InputError: no such file, a kind Netron does not draw, or a port that cannot be had.
    """
    require_viewable(b)
    first = view(a, browse=False, wait=False)
    started: list[Viewer | NetronProcess] = [first]
    try:
        second = start_netron(b)
        started.append(second)
        server = _serve(page_of(((a, first.url), (b, second.url))).encode(), port or 0)
    except InputError:
        for viewer in started:
            viewer.stop()
        raise
    found = SideBySide((first, second), server)
    if browse:
        import webbrowser

        webbrowser.open(found.url)
    return found


def page_of(models: tuple[tuple[Path, str], tuple[Path, str]]) -> str:
    """The page: each model's name above its frame."""
    allowed = " ".join(url for _, url in models)
    rules = f"default-src 'none'; style-src 'unsafe-inline'; frame-src {allowed}; base-uri 'none'"
    head = joined(
        (
            Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
            Markup('<link rel="icon" href="data:,">'),
            element("meta", **{"http-equiv": "Content-Security-Policy", "content": f"{rules}; img-src data:"}),
            element("title", f"{models[0][0].name} and {models[1][0].name}"),
            element("style", Markup(_STYLE)),
        )
    )
    frames = [
        element(
            "section",
            element("h1", element("a", _shown(path, models), href=url, target="_blank", rel="noopener")),
            element("iframe", src=url, title=path.name),
        )
        for path, url in models
    ]
    return f'<!DOCTYPE html>\n<html lang="en">{element("head", head)}{element("body", *frames)}</html>\n'


def _shown(path: Path, models: tuple[tuple[Path, str], ...]) -> str:
    """The file's name; its folder, too, where both have one name."""
    same = len({other.name for other, _ in models}) < len(models)
    return f"{path.parent.name}/{path.name}" if same else path.name


def _serve(page: bytes, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8" if found else "text/plain")
            self.send_header("Content-Length", str(len(page) if found else 0))
            self.end_headers()
            if found:
                self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            """The terminal is for what the user asked."""

    try:
        server = ThreadingHTTPServer((_HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"cannot serve on port {port}",
            why="another program uses it, or it is reserved",
            fix="choose another `port`, or leave the choice to us",
        ) from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
