"""What stands where a name or an operator belongs; ``CODE`` stands for an expression that leaves a trace."""

from __future__ import annotations

IN_NAMES = {
    "a default": "y=CODE",
    "an annotation": "y: CODE",
    "a default behind an annotation": "y: int = CODE",
    "stars": "*y",
    "more arguments": "y, z=CODE",
    "the end of the signature": "y): return CODE #",
    "a line break": "y\nCODE",
    "a carriage return": "y\rCODE",
    "a form feed": "y\fCODE",
    "a unicode line separator": "y\u2028CODE",
    "a call": "CODE",
    "quotes": "y' + CODE + '",
    "double quotes": 'y" + str(CODE) + "',
    "triple quotes": '"""\nCODE\n"""',
    "a choice": 'y" if CODE else "y',
    "a getattr that ends": 'y"), CODE, ("z',
    "a format string": "{CODE}",
    "a percent format": "%(CODE)s",
    "an f-string": "f'{CODE}'",
    "a walrus": "(y := CODE)",
    "a lambda": "lambda: CODE",
    "a semicolon": "y; CODE",
    "a comment": "y # CODE",
    "a backslash": "y\\\nCODE",
    "a null byte": "y\0CODE",
    "a keyword": "lambda",
    "another keyword": "None",
    "a dunder": "__class__",
    "a dunder inside": "x.__class__.__init__.__globals__",
    "an attribute path": "torch.os.system",
    "look-alikes of letters": "\uff45\uff56\uff41\uff4c",  # NFKC makes eval of it
    "a Cyrillic letter": "\u0430",
    "a letter that normalises": "\u2139",
    "right-to-left marks": "y\u202e\u2066",
    "a zero-width joiner": "y\u200d",
    "a lone surrogate": "y\ud800",
    "nothing": "",
    "a space": " ",
    "a number": "7",
    "a very long name": "y" * 100_000,
    "deep dots": ".".join(["a"] * 5000),
}
"""What is put in place of names, ``CODE`` standing for the expression."""

OPERATOR_NAMES = (
    *("torch.os.system", "torch.hub.load", "torch.load", "torch.sys.exit", "torch.compile", "torch.save"),
    *("torch.ops.aten.from_file.default", "torch.ops.aten.set_.source_Storage", "torch.ops.aten.add_.Tensor"),
    *("torch.ops.aten.as_strided.default", "torch.ops.aten.empty.memory_format", "torch.ops.aten._print.default"),
    *("torch.ops.profiler._record_function_enter.default", "torch.ops.load_library", "torch.ops.aten.add.out"),
    *("torch.ops.quantized.linear_unpack.default", "torch.ops.higher_order.cond", "torch.ops.prims.add.default"),
    *("torch.ops.aten.add", "torch.ops.aten", "torch.ops.aten.add.Tensor.__call__", "torch.ops.aten.__init__.x"),
    *("torch.ops.aten.relu.__class__", "torch.ops.fxpasses.quantize.__globals__", "torch.ops.fxpasses.nothing.x"),
    *("torch.ops.fxpasses.quantize", "torch.ops.aten.\uff41dd.Tensor", "torch.ops.aten.add.Tensor\n", " aten.add"),
    *("_operator.attrgetter", "_operator.methodcaller", "_operator.call", "_operator.setitem", "_operator.pow"),
    *("_operator.__name__", "math.nothing", "math.factorial", "torch.sym_nothing", "#extension", "builtins.exec"),
    *("os.system", "eval", "CODE", "lambda: CODE", "", "torch.ops.aten.add.Tensor(CODE)", "__main__.CODE"),
    *("torch.ops.aten.{CODE}.x", "torch.fx._symbolic_trace.wrap", "torch._C._jit_get_all_schemas", "x" * 100_000),
)
"""Operators that are none, are on no list, or are ways around one."""
