"""The errors of this package: each says what was found, where, and what to do next.

Every error this package raises on purpose is a :class:`FxPassesError`; the command line prints it and exits
with 2. Any other exception is a defect of this package.

A text names parameters of the Python interface in backticks, as in Python: ```bits=3```. The command line shows
the option that sets each instead (``fxpasses/cli/spelling.py``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import fx


class FxPassesError(Exception):
    """Base of every error raised on purpose; its text can be shown to a user."""

    text: str | None = None

    def __str__(self) -> str:
        """The text as it was made: ``torch.fx`` adds a traceback of its own to the arguments of what passes through."""
        return super().__str__() if self.text is None else self.text

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the error, which worker processes need: its ``args`` are not the arguments of its constructor."""
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(kind: type[FxPassesError], args: tuple[object, ...], state: dict[str, object]) -> FxPassesError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


class InputError(FxPassesError):
    """A value from outside (a file, a folder, a name, a number, data) cannot be used."""

    def __init__(self, what: str, *, why: str, fix: str, at: str | None = None) -> None:
        self.what, self.why, self.fix, self.at = what, why, fix, at
        lines = [what, *([f"at:  {at}"] if at else []), f"why: {why}", f"fix: {fix}"]
        self.text = "\n  ".join(lines)
        super().__init__(self.text)


class GraphError(FxPassesError):
    """A graph, or one of its nodes, does not meet the requirements of a step."""

    def __init__(self, what: str, *, why: str, fix: str, at: str | None = None, step: str | None = None) -> None:
        self.what, self.why, self.fix, self.at, self.step = what, why, fix, at, step
        lines = [what]
        if at:
            lines.append(f"at:  {at}")
        lines += [f"why: {why}", f"fix: {fix}"]
        if step:
            lines.append(f"in:  {step}")
        self.text = "\n  ".join(lines)
        super().__init__(self.text)

    @classmethod
    def at_node(cls, node: fx.Node, *, why: str, fix: str, step: str | None = None) -> GraphError:
        """The error for one node; it names the node's target and the user's source line."""
        return cls(describe(node), why=why, fix=fix, at=source_line(node), step=step)


def describe(node: fx.Node) -> str:
    """Description of a node: ``node 'conv1' (call_module layer1.conv1)``."""
    target = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return f"node {node.name!r} ({node.op} {target})"


_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')
_NOT_THE_USERS = ("/torch/nn/modules/", "/torch/fx/", "/torch/_", "/torch/export/", "<eval_with_key>")


def source_line(node: fx.Node) -> str | None:
    """The user's line that made this node, from the stack trace recorded at capture; None if it is unknown."""
    trace = node.meta.get("stack_trace") or node.stack_trace
    if not trace:
        return None
    frames = list(_FRAME.finditer(trace))
    users = [f for f in frames if not any(part in f["file"] for part in _NOT_THE_USERS)]
    if not (users or frames):
        return None
    last = (users or frames)[-1]
    return f'File "{last["file"]}", line {last["line"]}, in {last["function"]}'
