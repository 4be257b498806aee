"""Facts that ``save`` writes with a program: recipe, example inputs, names and logs, each checked when read."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, get_args, get_type_hints

from fxpasses.graph.pass_runner import Change, PassLog, PassResult, Skip
from fxpasses.graph.stages import Stage
from fxpasses.quantization.config import Override, QuantConfig
from fxpasses.signature.examples import specs_in
from fxpasses.signature.free_sizes import FreeSizes

from . import records
from .archive import FACTS, FACTS_ENTRY
from .examples import read_examples, read_sizes
from .names import identifier
from .records import RefusedError, shown

Example = Any
"""Shape and dtype of a tensor, a structure of these, or another value itself."""


@dataclass(frozen=True)
class Facts:
    """Facts about a graph beside its program.

    Attributes:
        stage: FLOAT or QUANTIZED.
        config: settings of a QUANTIZED graph.
        examples: the example inputs.
        sizes: the free sizes; None for a file without them.
        ranges: the smallest and the largest value of each tensor among the example inputs, if they were saved.
        names: names of the int8 tensors, in order.
        logs: logs of the passes.
        table: all facts, unchecked.
    """

    stage: Stage
    config: QuantConfig | None
    examples: tuple[Example, ...]
    sizes: FreeSizes | None
    ranges: tuple[tuple[float, float] | None, ...] | None
    names: list[str]
    logs: list[PassLog]
    table: dict[str, Any]


def read_facts(entries: dict[str, bytes]) -> Facts:
    """The checked facts in an archive that ``save`` wrote."""
    found = facts_table(entries)
    stage, examples = _stage(found), read_examples(found)
    tensors = len(specs_in(examples))
    return Facts(
        stage=stage,
        config=_config(found) if stage is Stage.QUANTIZED else None,
        examples=examples,
        sizes=read_sizes(found, tensors),
        ranges=_ranges(found, tensors),
        names=_names(found),
        logs=_logs(found),
        table=found,
    )


def facts_table(entries: dict[str, bytes]) -> dict[str, Any]:
    """The facts of a graph in any stage; their values are not checked yet."""
    return records.table(records.parsed(FACTS, entries[FACTS_ENTRY]), FACTS)


def _stage(facts: dict[str, Any]) -> Stage:
    """The stage of the graph; files of older versions contain QUANTIZED graphs only."""
    where = f"{FACTS}: metadata"
    metadata = records.table(facts.get("metadata", {}), where)
    name = records.text(metadata.get("fxpasses.stage", Stage.QUANTIZED.value), where, 20)
    if name == Stage.LOWERED.value:
        raise RefusedError("it holds a LOWERED graph", "read it with fxpasses.load")
    if name not in (Stage.FLOAT.value, Stage.QUANTIZED.value):
        raise RefusedError(f"it is damaged: {where} says stage {shown(name)}")
    return Stage(name)


def _ranges(facts: dict[str, Any], inputs: int) -> tuple[tuple[float, float] | None, ...] | None:
    if facts.get("example_ranges") is None:
        return None
    where = f"{FACTS}: example_ranges"
    found = records.items(facts["example_ranges"], where)
    if len(found) != inputs:
        raise RefusedError(f"it is damaged: {where} has {len(found)} ranges for {inputs} inputs")
    return tuple(None if each is None else _range(each, where) for each in found)


def _range(value: Any, where: str) -> tuple[float, float]:
    ends = [records.number(end, where) for end in records.items(value, where)]
    if len(ends) != 2 or not ends[0] <= ends[1] or not all(map(math.isfinite, ends)):
        raise RefusedError(f"it is damaged: {where} holds no least and largest value")
    return ends[0], ends[1]


def _names(facts: dict[str, Any]) -> list[str]:
    found = records.items(records.field(facts, "names", FACTS), FACTS)
    names = [identifier(name, "an int8 tensor") for name in found]
    if len(set(names)) != len(names):
        raise RefusedError(f"it is damaged: {FACTS} names two int8 tensors alike")
    return names


def _config(facts: dict[str, Any]) -> QuantConfig:
    where = f"{FACTS}: recipe"
    recipe = records.text(records.field(facts, "recipe", FACTS), where)
    settings = records.table(records.parsed(where, recipe.encode()), where)
    overrides = records.items(settings.get("overrides", []), where)
    made = [_settings(Override, records.table(o, where), where) for o in overrides]
    given = _settings(QuantConfig, {k: v for k, v in settings.items() if k != "overrides"}, where)
    return QuantConfig(**given, overrides=tuple(Override(**o) for o in made))


def _settings(kind: type[QuantConfig] | type[Override], given: dict[str, Any], where: str) -> dict[str, Any]:
    """Settings after a check that names and types are those of a class."""
    hints = get_type_hints(kind)
    known = {f.name: _types(hints[f.name]) for f in fields(kind) if f.name != "overrides"}
    for name, value in given.items():
        if name not in known:
            raise RefusedError(f"it is damaged, or of another version: {where} has a setting {shown(name)}")
        if type(value) not in known[name]:
            raise RefusedError(f"it is damaged: {where} has {name} {shown(repr(value))}")
    return given


def _types(hint: Any) -> tuple[type, ...]:
    """Types of a setting's value; JSON writes a float without a fraction as an integer."""
    kinds = get_args(hint) or (hint,)
    return (*kinds, int) if float in kinds else kinds


def _logs(facts: dict[str, Any]) -> list[PassLog]:
    where = f"{FACTS}: log"
    made: list[PassLog] = []
    for log in records.items(records.field(facts, "log", FACTS), where):
        changed = [Change.of_text(*_pair(c, where)) for c in records.items(records.field(log, "changed", where), where)]
        skipped = [Skip.of_text(*_pair(s, where)) for s in records.items(records.field(log, "skipped", where), where)]
        name = records.text(records.field(log, "name", where), where, 200)
        made.append(PassLog(name, PassResult(changed, skipped)))
    return made


def _pair(value: Any, where: str) -> tuple[str, str]:
    pair = [records.text(text, where, 10_000) for text in records.items(value, where)]
    if len(pair) != 2:
        raise RefusedError(f"it is damaged: {where} has {len(pair)} texts where a node and a description belong")
    return pair[0], pair[1]
