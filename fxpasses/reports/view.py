"""Opens Netron, the viewer of model graphs, on a file.

Netron serves the file's folder from this process to this machine only (localhost), until Ctrl-C.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from fxpasses.errors import InputError

SUFFIXES = (".onnx", ".pt2", ".pt", ".pth", ".safetensors")
_LARGEST_PORT = 65535


@dataclass(frozen=True)
class Viewer:
    """A running Netron."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def stop(self) -> None:
        """Stop serving; does nothing if it has stopped."""
        import netron

        netron.stop((self.host, self.port))


def view(path: Path, port: int | None = None, *, browse: bool = True, wait: bool = True) -> Viewer:
    """Serve ``path`` in Netron, in the browser if ``browse``; return at Ctrl-C, or at once if not ``wait``.

    Without ``port`` a free one is found.

    Raises:
        InputError: no such file, a kind of file that Netron does not draw, or a port that is not available.
    """
    require_viewable(path)
    if port is not None and not 0 < port <= _LARGEST_PORT:
        raise InputError(f"port {port}", why="there is no such port", fix=f"a number from 1 to {_LARGEST_PORT}")
    viewer = _serve(path, port, browse=browse)
    if wait:
        _wait(viewer)
    return viewer


def require_viewable(path: Path) -> None:
    """Raise InputError for what Netron cannot draw."""
    reason = why_not_viewable(path)
    if reason:
        raise InputError(f"cannot view {path}", why=reason, fix=f"name a file that ends in {', '.join(SUFFIXES)}")


def why_not_viewable(path: Path) -> str | None:
    """Reason why Netron cannot draw this file; None if its name suggests that it can."""
    if path.is_dir():
        return "it is a folder"
    if not path.is_file():
        return "there is no such file"
    if path.suffix.lower() not in SUFFIXES:
        return f"files of the kind {path.suffix or 'without a suffix'} have no graph to draw"
    return None


def _serve(path: Path, port: int | None, *, browse: bool) -> Viewer:
    import netron

    logging.getLogger("netron.server").setLevel(logging.WARNING)  # the caller prints the address
    if port is not None and netron.status(("localhost", port)):
        raise _port_taken(port)  # netron would end the other view silently
    try:
        host, found = netron.start(str(path), address=("localhost", port), browse=browse)
    except (OSError, OverflowError) as error:
        raise _port_taken(port) from error
    return Viewer(host, found)


def _port_taken(port: int | None) -> InputError:
    return InputError(
        f"cannot serve on port {port}",
        why="another program uses it, or it is reserved",
        fix="choose another `port`, or leave it out to get a free one",
    )


def _wait(viewer: Viewer) -> None:
    """Wait until Ctrl-C, which is the normal way to stop."""
    import threading

    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        viewer.stop()
