"""Rebuild a program of ``torch.export`` as a graph from checked records: nothing in the file is evaluated.

The input is the JSON that ``torch.export.save`` writes and the tensors beside it. Nodes are made one by one, from
operators in our own table and from arguments that are numbers or nodes; names are identifiers. Symbols and expressions
of shapes, guards, and notes on the origin of nodes are not read: sizes follow from the operators.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from fxpasses.graph.graph_module import RecordedModule

from ..pt2_records import records
from ..pt2_records.archive import PROGRAM
from ..pt2_records.expressions import check_expressions
from ..pt2_records.names import attribute_path, identifier
from ..pt2_records.records import RefusedError, shown
from ..pt2_records.tensors import read_tensors
from .arguments import read_argument, read_arguments
from .operators import is_check, is_symbolic, operator_of
from .structure import filled, leaves_of, read_structure
from .trace import read_origin

_SCHEMA = 8
"""Major version of torch's schema of programs, from torch 2.5 on."""


def read_program(
    entries: dict[str, bytes], operators: Collection[str] = (), tensors: dict[str, Tensor] | None = None
) -> fx.GraphModule:
    """The graph in an archive; it takes the same arguments as the saved graph.

    Args:
        operators: further operators that may be called, such as ``"aten.fft_rfft"``.
        tensors: its parameters and buffers, if they are in memory; otherwise those of the archive are used.

    Raises:
        RefusedError: some part of the program is not as ``save`` writes it.
    """
    program = records.parsed(PROGRAM, entries[PROGRAM])
    version = records.field(program, "schema_version", PROGRAM)
    if records.field(version, "major", PROGRAM) != _SCHEMA:
        raise RefusedError("it was saved by a version of torch with another schema")
    check_expressions(program)
    tensors = read_tensors(entries) if tensors is None else tensors
    return _Reader(records.field(program, "graph_module", PROGRAM), tensors, operators).graph()


class _Reader:
    """Rebuilds one program; keeps its values by their names in the file."""

    def __init__(self, module: Any, tensors: dict[str, Tensor], operators: Collection[str]) -> None:
        self.program = records.field(module, "graph", PROGRAM)
        self.signature = records.field(module, "signature", PROGRAM)
        self.call = _call_of(module)
        self.tensors, self.operators = tensors, operators
        self.root, self.made = nn.Module(), fx.Graph()
        self.values: dict[str, fx.Node] = {}

    def graph(self) -> fx.GraphModule:
        self._inputs()
        for number, node in enumerate(records.items(records.field(self.program, "nodes", PROGRAM), PROGRAM)):
            self._node(node, f"{PROGRAM}: node {number}")
        self._outputs()
        self.made.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
        return RecordedModule(self.root, self.made, "LoadedModule")

    def _inputs(self) -> None:
        """Parameters and buffers as attributes, arguments as placeholders, in the order of the file."""
        inputs = records.items(records.field(self.program, "inputs", PROGRAM), PROGRAM)
        specs = records.items(records.field(self.signature, "input_specs", PROGRAM), PROGRAM)
        if len(inputs) != len(specs):
            raise RefusedError(f"it is damaged: {len(inputs)} inputs with {len(specs)} specifications")
        leaves = self._arguments()
        for number, (value, spec) in enumerate(zip(inputs, specs, strict=True)):
            where = f"{PROGRAM}: input {number}"
            kind, found = records.only(spec, where)
            if kind in ("user_input", "constant_input"):
                node = next(leaves, None)
                if node is None:
                    raise RefusedError(f"it is damaged: {where} is one more than its structure has")
            else:
                node = self._attribute(kind, found, where)
            name = records.only(value, where)[1]
            if isinstance(name, dict) and name:  # a constant has no name, and no node reads it
                self._define(name.get("name", name.get("as_name")), node, where)
        if next(leaves, None) is not None:
            raise RefusedError("it is damaged: its structure has more inputs than the program")

    def _attribute(self, kind: str, spec: Any, where: str) -> fx.Node:
        names = {"parameter": "parameter_name", "buffer": "buffer_name", "tensor_constant": "tensor_constant_name"}
        if kind not in names:
            raise RefusedError(f"it is damaged: {where} is {shown(kind)}, which no saved graph has", records.TRUST)
        path = attribute_path(records.field(spec, names[kind], where), where)
        if path not in self.tensors:
            raise RefusedError(f"it is damaged: there is no tensor for {path}")
        _place(self.root, path, self.tensors[path])
        return self.made.get_attr(path)

    def _arguments(self) -> Iterator[fx.Node]:
        """A placeholder for each argument, and nodes that read the tensors from nested arguments."""
        structure = read_structure(records.field(self.call, "in_spec", PROGRAM), f"{PROGRAM}: in_spec")
        if not (isinstance(structure, tuple) and len(structure) == 2 and isinstance(structure[0], tuple)):
            raise RefusedError("it is damaged: its inputs are no arguments")
        positional, keywords = structure
        if keywords != {}:
            raise RefusedError("it is damaged: it takes arguments by keyword, which no saved graph does")
        names = self.call.get("forward_arg_names") or [f"arg_{i}" for i in range(len(positional))]
        names = [identifier(name, "an argument") for name in records.items(names, PROGRAM)]
        if len(names) != len(positional) or len(set(names)) != len(names):
            raise RefusedError(f"it is damaged: {len(names)} different names for {len(positional)} arguments")
        for name, inner in zip(names, positional, strict=True):
            placeholder = self.made.placeholder(name)
            for path in leaves_of(inner):
                leaf = placeholder
                for step in path:
                    leaf = self.made.call_function(operator.getitem, (leaf, step))
                yield leaf

    def _node(self, node: Any, where: str) -> None:
        target = records.text(records.field(node, "target", where), where)
        if is_check(target):
            return
        function = operator_of(target, self.operators)
        where = f"{where} ({target})"
        args, kwargs = read_arguments(function, records.field(node, "inputs", where), self.values, where)
        outputs = records.items(records.field(node, "outputs", where), where)
        name = node.get("name")
        made = self.made.create_node(
            "call_function", function, args, kwargs, None if name is None else identifier(name, where)
        )
        made.meta.update(read_origin(node.get("metadata")))
        if is_symbolic(function) or _gives_one(function):
            if len(outputs) != 1:
                raise RefusedError(f"it is damaged: {where} gives one value, not {len(outputs)}")
            self._define(_name_of(*records.only(outputs[0], where), where), made, where)
        else:
            self._define_each(outputs, made, where)

    def _define_each(self, outputs: list[Any], made: fx.Node, where: str) -> None:
        """Define the values of an operator with several results: a list of tensors, or a tuple."""
        parts: list[tuple[str, Any]] = [records.only(output, where) for output in outputs]
        if len(parts) == 1 and parts[0][0] == "as_tensors":
            parts = [("as_tensor", part) for part in records.items(parts[0][1], where)]
        for position, (kind, found) in enumerate(parts):
            if kind == "as_none":
                continue
            name = _name_of(kind, found, where)
            part = self.made.create_node("call_function", operator.getitem, (made, position), {}, name)
            part.meta.update(made.meta)
            self._define(name, part, where)

    def _define(self, name: object, node: fx.Node, where: str) -> None:
        checked = identifier(name, where)
        if checked in self.values:
            raise RefusedError(f"it is damaged: {checked} is made twice")
        self.values[checked] = node

    def _outputs(self) -> None:
        specs = records.items(records.field(self.signature, "output_specs", PROGRAM), PROGRAM)
        outputs = records.items(records.field(self.program, "outputs", PROGRAM), PROGRAM)
        where = f"{PROGRAM}: outputs"
        if len(outputs) != len(specs) or any(records.only(s, where)[0] != "user_output" for s in specs):
            raise RefusedError("it is damaged: it has outputs that no saved graph has")
        leaves = [read_argument(output, self.values, where) for output in outputs]
        structure = read_structure(records.field(self.call, "out_spec", where), f"{PROGRAM}: out_spec")
        if sum(1 for _ in leaves_of(structure)) != len(leaves):
            raise RefusedError(f"it is damaged: its structure has not the {len(leaves)} outputs of the program")
        self.made.output(filled(structure, iter(leaves)))


def _call_of(module: Any) -> dict[str, Any]:
    """The record of how the whole program is called."""
    calls = records.items(records.field(module, "module_call_graph", PROGRAM), PROGRAM)
    for call in calls:
        if records.field(call, "fqn", PROGRAM) == "":
            return records.table(records.field(call, "signature", PROGRAM), PROGRAM)
    raise RefusedError("it is damaged: it does not say how it is called")


def _gives_one(function: Any) -> bool:
    returns = function._schema.returns
    return len(returns) == 1 and isinstance(returns[0].real_type, (torch.TensorType, torch.IntType, torch.SymIntType))


def _name_of(kind: str, value: Any, where: str) -> str:
    """The name of one result of a node."""
    if kind == "as_tensor":
        return identifier(records.field(value, "name", where), where)
    if kind in ("as_sym_int", "as_sym_float", "as_sym_bool"):
        return identifier(records.field(value, "as_name", where), where)
    raise RefusedError(f"it is damaged: {where} gives {shown(kind)}, which no saved graph does")


def _place(root: nn.Module, path: str, tensor: Tensor) -> None:
    """Register a tensor at a checked path, in new modules."""
    *parents, leaf = path.split(".")
    holder = root
    for part in parents:
        if part in holder._parameters or part in holder._buffers:
            raise RefusedError(f"it is damaged: {path} lies inside a tensor")
        if part not in holder._modules:
            holder.add_module(part, nn.Module())
        child = holder.get_submodule(part)
        holder = child
    if leaf in holder._modules or leaf in holder._parameters or leaf in holder._buffers:
        raise RefusedError(f"it is damaged: {path} is there twice")
    if isinstance(tensor, nn.Parameter):
        holder.register_parameter(leaf, tensor)
    else:
        holder.register_buffer(leaf, tensor)
