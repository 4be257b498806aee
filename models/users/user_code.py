"""Loads ``path/file.py:factory``: the caller's own models and data.

The file is the caller's program and is run as such; this is the only place where outside code is executed.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

from fxpasses.callers_code import told_as_the_callers
from fxpasses.errors import InputError


class _AsItIsNow(SourceFileLoader):
    """Compiles the file each time.

    Python's cache of bytecode knows a file by its size and the second of its last change: a script that writes a file
    twice in one second would get the first one's net. Nothing is written beside the file, either.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def is_user_code(spec: str) -> bool:
    """Whether the text has the form ``path/file.py:factory``."""
    path, colon, _ = spec.rpartition(":")
    return path.endswith(".py") if colon else spec.endswith(".py")


def load_factory(spec: str) -> Callable[[], object]:
    """Return the callable that ``path/file.py:factory`` names; the file is run once per call of this function."""
    path_text, _, name = spec.rpartition(":")
    if not path_text or not name.isidentifier():
        raise InputError(
            f"{spec!r} does not name a factory",
            why="no function is given after the file",
            fix="write path/file.py:factory",
        )
    path = Path(path_text)
    if not path.is_file():
        why = "it is no file" if path.exists() else "there is no such file"
        raise InputError(f"cannot open {path}", why=why, fix="check the path before the colon")
    module_name = f"_fxpasses_user_{path.stem}"
    loader = _AsItIsNow(module_name, str(path.absolute()))
    module_spec = importlib.util.spec_from_loader(module_name, loader)
    assert module_spec is not None
    module = importlib.util.module_from_spec(module_spec)
    # Dataclasses and pickling inside the file look their module up by name.
    sys.modules[module_spec.name] = module
    with told_as_the_callers(f"running {path} failed", "make the file importable on its own", path.absolute()):
        loader.exec_module(module)
    # Its own dictionary: a __getattr__ of the file would be run.
    factory: Callable[[], object] | None = vars(module).get(name)
    if factory is None or not callable(factory):
        public = ", ".join(sorted(n for n, v in vars(module).items() if callable(v) and not n.startswith("_")))
        raise InputError(
            f"{path} has no function {name!r}",
            why=f"it defines: {public or 'no callables'}",
            fix="name one of these after the colon",
        )
    return factory


_NO_ARGUMENTS = "make the factory work without arguments"


def call_factory(factory: Callable[[], object], spec: str) -> object:
    """Call ``factory()``; a failure becomes an error of bad input."""
    fix = _NO_ARGUMENTS if _requires_arguments(factory) else "mend that line; fxpasses calls the function, no more"
    with told_as_the_callers(f"{spec} failed", fix, file_of(spec)):
        return factory()


def _requires_arguments(factory: Callable[[], object]) -> bool:
    try:
        inspect.signature(factory).bind()
    except TypeError:
        return True
    except ValueError:  # it has no signature
        return False
    return False


def file_of(spec: str) -> Path:
    """Path of the file in ``path/file.py:factory``, as tracebacks show it."""
    return Path(spec.rpartition(":")[0]).absolute()
