"""Checks of names in a ``.pt2`` archive, before any of them becomes part of generated Python.

``torch.fx`` writes the names of arguments, attributes and keywords into source that it compiles. So they must be short
ASCII identifiers, no keywords of Python, and without two leading underscores. Look-alike letters, and letters that
Python normalises, are not ASCII.
"""

from __future__ import annotations

import keyword
import re

from torch import fx, nn

from .records import TRUST, RefusedError, shown

_IDENTIFIER = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]{0,255}")
_PART = re.compile(r"(?!__)[A-Za-z0-9_][A-Za-z0-9_-]{0,127}")
_KEY = re.compile(r"[\w .:/@#+-]{1,128}")
_WORDS = re.compile(r"[A-Za-z0-9_ ,.>-]{0,128}")
_DEEPEST = 24
_USED = frozenset("self torch inf nan NoneType device fx_pytree pytree getattr slice complex".split())
"""Names that generated source uses; an argument with such a name would be used in their place."""

_TAKEN = frozenset(dir(fx.GraphModule)) | frozenset(dir(nn.Module())) | {"self"}
"""Attributes that every module has, and ``self``: a buffer with such a name would replace a method."""


def identifier(name: object, where: str) -> str:
    """Check the name of an argument or a node."""
    if not isinstance(name, str) or not is_identifier(name):
        raise _no_name(name, where)
    return name


def attribute_path(path: object, where: str) -> str:
    """Check a path such as ``layer1.0.conv.weight``: identifiers or numbers, possibly with hyphens."""
    if not isinstance(path, str) or path.count(".") >= _DEEPEST:
        raise _no_name(path, where)
    for part in path.split("."):
        if not _PART.fullmatch(part) or keyword.iskeyword(part) or part in _TAKEN:
            raise _no_name(path, where)
    return path


def is_identifier(name: str) -> bool:
    """Whether :func:`identifier` accepts the name."""
    return bool(_IDENTIFIER.fullmatch(name)) and not keyword.iskeyword(name) and name not in _USED


def is_attribute_path(path: str) -> bool:
    """Whether :func:`attribute_path` accepts the path."""
    try:
        attribute_path(path, "")
    except RefusedError:
        return False
    return True


def key(value: object, where: str) -> str | int:
    """Check a key of a dict among inputs or outputs; it is data only, but quotes, brackets and breaks are refused."""
    if type(value) is int and abs(value) < 2**31:
        return value
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise _no_name(value, where)
    return value


def words(value: object, where: str) -> str:
    """Check a string argument of an operator: ``tanh``, ``floor``, ``reflect``, an equation of einsum."""
    if not isinstance(value, str) or not _WORDS.fullmatch(value):
        raise _no_name(value, where)
    return value


def _no_name(name: object, where: str) -> RefusedError:
    kind = repr(shown(name)) if isinstance(name, str) else type(name).__name__
    return RefusedError(f"{where} is called {kind}, which is no name a saved graph has; reading it may run code", TRUST)
