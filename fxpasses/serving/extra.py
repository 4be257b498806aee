"""Check that the packages of the extra ``serve`` are installed."""

from __future__ import annotations

from importlib.util import find_spec

from fxpasses.errors import InputError

PACKAGES = {
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}
"""Name of the package that holds each module."""


def require_extra() -> None:
    """Raise InputError with the command for the installation if a package is missing."""
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise InputError(
            "cannot serve",
            why=f"not installed: {', '.join(missing)}",
            fix='pip install "fxpasses[serve]"',
        )
