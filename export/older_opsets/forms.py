"""Forms of an operator in two opsets: whether a node of opset 18 is one of an older opset, too.

A newer form mostly has further types and attributes. A node whose further attributes have the values that the older
form means is the same node without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
import onnx_ir as ir

BASE = 18
"""The opset of models before they are rewritten: the oldest that the exporter writes."""


def form(op_type: str, opset: int) -> onnx.defs.OpSchema | None:
    """The form of a standard operator in an opset; None if the opset lacks it."""
    return onnx.defs.get_schema(op_type, opset, "") if onnx.defs.has(op_type, opset, "") else None


def is_same_form(op_type: str, opset: int) -> bool:
    """Whether an operator has not changed from an opset to 18."""
    found = form(op_type, BASE)
    return found is not None and found.since_version <= opset


def why_not_taken(node: ir.Node, opset: int, meant: Mapping[str, Any]) -> str | None:
    """Why the older form of an operator does not take a node.

    Args:
        meant: attributes that the older form lacks, with the values that it means.
    """
    old = form(node.op_type, opset)
    if old is None:
        return f"opset {opset} has no {node.op_type}"
    for name in further_attributes(node.op_type, opset):
        value = value_of(node, name)
        if name not in meant or value != meant[name]:
            return f"its {name}={value} has no counterpart there"
    if len(node.inputs) > old.max_input:
        return f"it has {len(node.inputs)} inputs, and {old.max_input} there"
    return _why_not_of_type(node, old)


def without_further(node: ir.Node, opset: int) -> None:
    """Drop the attributes that the older form lacks."""
    for name in further_attributes(node.op_type, opset):
        node.attributes.pop(name, None)


def further_attributes(op_type: str, opset: int) -> list[str]:
    """Attributes that the older form of an operator lacks."""
    old, new = form(op_type, opset), form(op_type, BASE)
    return sorted(set(new.attributes) - set(old.attributes)) if old is not None and new is not None else []


def value_of(node: ir.Node, name: str) -> Any:
    """The value of an attribute in opset 18: its own, or the default; None if there is none."""
    if name in node.attributes:
        return node.attributes[name].value
    new = form(node.op_type, BASE)
    default = None if new is None else new.attributes[name].default_value
    if default is None or not default.name:
        return None
    value = onnx.helper.get_attribute_value(default)
    return value.decode() if isinstance(value, bytes) else value


def _why_not_of_type(node: ir.Node, old: onnx.defs.OpSchema) -> str | None:
    allowed = {each.type_param_str: each.allowed_type_strs for each in old.type_constraints}
    parameters = list(old.inputs)
    for place, value in enumerate(node.inputs):
        kind = parameters[min(place, len(parameters) - 1)].type_str
        if value is None or value.dtype is None or kind not in allowed:
            continue
        found = f"tensor({value.dtype.name.lower()})"
        if found not in allowed[kind]:
            return f"its input {place} is a {found}, which it does not take there"
    return None
