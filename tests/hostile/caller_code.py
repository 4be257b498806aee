"""Code of the caller's that fails in every possible way: factories of models and of data, with the expected messages.

Every case is a function ``f`` in a file of its own; a line that ends in ``# here`` is the one that must be named.
"""

from __future__ import annotations

from typing import NamedTuple

IMPORTS = "import os, sys, torch\nfrom torch import nn\nclass Odd(Exception): pass\n"
ROWS = "torch.zeros(8, 1, 8, 8)"


class Case(NamedTuple):
    """A function ``f``, and texts that the message must contain."""

    name: str
    source: str
    said: str

    @property
    def text(self) -> str:
        """The whole file."""
        return IMPORTS + self.source

    @property
    def line(self) -> int | None:
        """The line that the message must name; None if there is none."""
        marked = [number for number, line in enumerate(self.text.splitlines(), 1) if line.endswith("# here")]
        return marked[0] if marked else None


def _raises(what: str) -> str:
    return f"def f():\n    raise {what}  # here\n"


def _yields(*rows: str, then: str = "") -> str:
    return "def f():\n" + "".join(f"    yield {row}\n" for row in rows) + (f"    {then}  # here\n" if then else "")


ANY = (
    Case("an exception of its own", _raises("Odd('lost')"), "Odd: lost"),
    Case("an exception without text", _raises("Odd"), "Odd"),
    Case("stop iteration", _raises("StopIteration('x')"), "StopIteration"),
    Case("an exception group of 3.11", _raises("EOFError('end')"), "EOFError: end"),
    Case("a buffer error", _raises("BufferError('b')"), "BufferError: b"),
    Case("a warning as an error", _raises("UserWarning('w')"), "UserWarning: w"),
    Case("exit with success", "def f():\n    sys.exit(0)  # here\n", "sys.exit(0)"),
    Case("exit with a number", "def f():\n    sys.exit(3)  # here\n", "sys.exit(3)"),
    Case("exit with a text", "def f():\n    sys.exit('bye')  # here\n", "sys.exit('bye')"),
    Case("exit of builtins", "def f():\n    exit()  # here\n", "sys.exit"),
    Case("exit while imported", "sys.exit(0)  # here\ndef f(): pass\n", "sys.exit(0)"),
    Case("an exception while imported", "raise Odd('early')  # here\ndef f(): pass\n", "Odd: early"),
    Case(
        "a text that fails",
        "class Bad(Exception):\n    def __str__(self): raise ValueError('no')\n" + _raises("Bad()"),
        "Bad",
    ),
    Case("endless recursion", "def f():\n    return f()  # here\n", "RecursionError"),
    Case("a base exception of its own", "class Stop(BaseException): pass\n" + _raises("Stop('s')"), "Stop"),
    Case("arguments wanted", "def f(x): pass\n", "TypeError"),
    Case("a broken __getattr__", "class M(type(sys)):\n    pass\ndef __getattr__(n): raise Odd('g')\n", "f"),
    Case("nothing", "def f(): pass\n", "NoneType"),
    Case("null bytes", "\0", "null bytes"),
    Case("tabs and blanks", "def f():\n\tx = 1\n        y = 2\n", "TabError"),
    Case(
        "a default dtype changed",
        f"def f():\n    torch.set_default_dtype(torch.float64)\n    return [{ROWS}]\n",
        "default dtype",
    ),
    Case(
        "a default device changed",
        f"def f():\n    torch.set_default_device('meta')\n    return [{ROWS}]\n",
        "default device",
    ),
    Case(
        "a default dtype at import",
        f"torch.set_default_dtype(torch.float64)\ndef f(): return [{ROWS}]\n",
        "default dtype",
    ),
)

DATA = (
    *ANY,
    Case("an exception at a batch", _yields(ROWS, then="raise Odd('later')"), "batch 1"),
    Case("exit at a batch", _yields(ROWS, then="sys.exit(0)"), "sys.exit(0)"),
    Case("exit at the first batch", _yields(then="sys.exit(0); yield"), "sys.exit(0)"),
    Case(
        "an __iter__ that fails",
        "class D:\n    def __iter__(self): raise Odd('i')  # here\ndef f(): return D()\n",
        "Odd: i",
    ),
    Case(
        "an __iter__ without __next__", "class D:\n    def __iter__(self): return 3\ndef f(): return D()\n", "TypeError"
    ),
    Case(
        "other things the second time",
        "n = []\ndef f():\n    n.append(0)\n    return [torch.zeros(8, 1, 8, 8)] if len(n) < 2 else 7\n",
        "int",
    ),
    Case("labels too few", _yields(f"({ROWS}, torch.zeros(5))"), "5 labels for 8"),
    Case("labels too many", _yields(f"({ROWS}, torch.zeros(9))"), "9 labels for 8"),
    Case("one label", _yields(f"({ROWS}, torch.tensor(3))"), "labels"),
    Case("labels of two dimensions", _yields(f"({ROWS}, torch.zeros(8, 10))"), "labels"),
    Case("labels out of range", _yields(f"({ROWS}, torch.full((8,), 12))"), "12"),
    Case("labels below zero", _yields(f"({ROWS}, torch.full((8,), -1))"), "-1"),
    Case("labels NaN", _yields(f"({ROWS}, torch.full((8,), float('nan')))"), "whole numbers"),
    Case("labels infinite", _yields(f"({ROWS}, torch.full((8,), float('inf')))"), "whole numbers"),
    Case("labels between", _yields(f"({ROWS}, torch.full((8,), 2.5))"), "whole numbers"),
    Case("labels huge", _yields(f"({ROWS}, torch.full((8,), 2**62))"), str(2**62)),
    Case("labels complex", _yields(f"({ROWS}, torch.zeros(8, dtype=torch.complex64))"), "whole numbers"),
    Case("labels as a list", _yields(f"({ROWS}, [1] * 8)"), "tensor"),
    Case("labels at times", _yields(f"({ROWS}, torch.zeros(8))", ROWS), "labels"),
    Case("complex images", _yields("torch.zeros(8, 1, 8, 8, dtype=torch.complex64)"), "complex"),
    Case("sparse images", _yields("torch.zeros(8, 1, 8, 8).to_sparse()"), "sparse"),
    Case("meta images", _yields("torch.zeros(8, 1, 8, 8, device='meta')"), "meta"),
    Case(
        "quantized images",
        _yields("torch.quantize_per_tensor(torch.zeros(8, 1, 8, 8), 1.0, 0, torch.quint8)"),
        "quint8",
    ),
    Case("fp8 images", _yields("torch.zeros(8, 1, 8, 8).to(torch.float8_e4m3fn)"), "float8"),
    Case("no dimension", _yields("torch.tensor(3.0)"), "shape"),
    Case("no images", _yields("torch.zeros(0, 1, 8, 8)"), "no image"),
    Case("another shape", _yields("torch.zeros(8, 3, 8, 8)"), "8x3x8x8"),
    Case("a sparse layout of labels", _yields(f"({ROWS}, torch.zeros(8).to_sparse())"), "sparse"),
    Case("numpy", "import numpy\ndef f(): return [numpy.zeros((8, 1, 8, 8))]\n", "ndarray"),
    Case("a text", "def f(): return 'abc'\n", "str"),
    Case("a dict", f"def f(): return {{'x': {ROWS}}}\n", "str"),
)
"""Factories of data for a net of 1x8x8 and ten classes; each is refused."""

ACCEPTED_DATA = (
    Case("inputs that require grad", _yields("torch.randn(16, 1, 8, 8, requires_grad=True)"), ""),
    Case("batches without end", "def f():\n    while True: yield torch.randn(8, 1, 8, 8)\n", ""),
    Case("labels without end", "def f():\n    while True: yield torch.randn(8, 1, 8, 8), torch.zeros(8)\n", ""),
    Case("bool labels", _yields("(torch.randn(16, 1, 8, 8), torch.zeros(16, dtype=torch.bool))"), ""),
    Case("float labels of whole numbers", _yields("(torch.randn(16, 1, 8, 8), torch.full((16,), 9.0))"), ""),
    Case("views with strides", _yields("torch.randn(16, 1, 8, 16)[..., ::2]"), ""),
)
"""Factories of data for the same net; each is accepted."""


def _net(forward: str, more: str = "") -> str:
    return (
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.layer = nn.Conv2d(1, 4, 3)\n"
        f"{more}    def forward(self, x):\n        {forward}\n"
        "def f(): return Net().eval(), (1, 8, 8)\n"
    )


MODELS = (
    *(case for case in ANY if case.name != "nothing"),
    Case("a forward that fails", _net("raise Odd('fwd')  # here"), "fwd"),
    Case("a forward that exits", _net("sys.exit(0)  # here"), "sys.exit(0)"),
    Case(
        "a forward that raises a base exception",
        "class Stop(BaseException): pass\n" + _net("raise Stop('s')  # here"),
        "Stop",
    ),
    Case(
        "a forward that exits when traced",
        _net("\n        if type(x) is not torch.Tensor: sys.exit(0)\n        return self.layer(x).mean((2, 3))"),
        "sys.exit",
    ),
    Case("an output without a dimension", _net("return self.layer(x).sum()"), "dimension"),
    Case("an output without elements", _net("return self.layer(x)[:, :0].flatten(1)"), "element"),
    Case("no output", _net("self.layer(x)"), "no tensor"),
    Case("a number", _net("return 3"), "no tensor"),
    Case("an empty tuple", _net("return ()"), "no tensor"),
    Case("an object", _net("return object()"), "no tensor"),
    Case("a shape without sizes", "def f(): return nn.Linear(3, 4), ()\n", "shape"),
    Case("a shape of fractions", "def f(): return nn.Linear(3, 4), (3.5,)\n", "3.5"),
    Case("a shape of bools", "def f(): return nn.Linear(3, 4), (True,)\n", "True"),
    Case("a huge shape", "def f(): return nn.Linear(3, 4).eval(), (10**9, 10**9)\n", "1000000000000000000 values"),
    Case("a shape beyond 64 bits", "def f(): return nn.Linear(3, 4).eval(), (2**70,)\n", "shape"),
    Case("a class", "f = nn.Linear\n", "TypeError"),
    Case("a model in double", _net("return self.layer(x.double()).mean((2, 3))", "        self.double()\n"), "float64"),
    Case(
        "a loaded model without preprocessing",
        "from fxpasses.models.loaded_model import LoadedModel\n"
        "def f(): return LoadedModel('x', nn.Linear(3, 4).eval(), (3,), None, False)\n",
        "its preprocessing is None",
    ),
    Case("a model on meta", _net("return self.layer(x).mean((2, 3))", "        self.to('meta')\n"), "meta"),
    Case("an eval that fails", _net("return x", "    def train(self, mode=True): raise Odd('mode')  # here\n"), "mode"),
)
"""Factories of a model of 1x8x8; each is refused."""
