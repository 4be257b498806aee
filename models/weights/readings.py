"""Finds the tensors of a checkpoint that belong to the model, by names and shapes that fit.

Trainings store weights under keys (``state_dict``, ``model``, ``net``, ``params_ema``, ``weights``) beside optimizers
and counters, and with prefixes (``module.``, ``model.``, ``_orig_mod.``). A *reading* is one such key and prefix. It
fits if it has every weight of the model in its shape, and without a prefix no other. The one that fits is taken, with a
warning. Several that fit, such as weights and their moving average, are refused unless they are equal:
``--weights-key`` chooses one.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fxpasses.errors import InputError

from .fit import first_of, why_not_loadable
from .kinds import as_the_model_has, plain_tensors, why_not_metadata

SAVE_TENSORS = "save it with torch.save(model.state_dict(), path)"
_DEPTH = 2
"""Depth of keys that are searched: ``{"checkpoint": {"state_dict": ...}}``."""
_TRIED = 8
_COUNTER = "num_batches_tracked"
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Reading:
    """Tensors under a key of a checkpoint whose names begin with a prefix, and the names that are left out.

    Attributes:
        key: ``state_dict``, ``checkpoint.state_dict``; empty for the checkpoint itself.
        prefix: empty, or ends with a dot.
        tensors: tensors by name, without the prefix.
        left_out: names under the key that do not begin with the prefix, or are no tensors.
        versions: ``_metadata`` of the state dict.
    """

    key: str
    prefix: str
    tensors: Tensors
    left_out: tuple[str, ...] = ()
    versions: Any = None

    @property
    def name(self) -> str:
        """Value of ``--weights-key`` for this reading; empty for a plain state dict."""
        return "/".join(part for part in (self.key, self.prefix) if part)

    @property
    def words(self) -> str:
        """Description in words: ``under 'state_dict', without the prefix 'module.'``."""
        key = f"under {self.key!r}" if self.key else ""
        prefix = f"without the prefix {self.prefix!r}" if self.prefix else ""
        return ", ".join(part for part in (key, prefix) if part) or "as they are"

    def is_called(self, name: str) -> bool:
        """Whether ``--weights-key`` names this reading: by its name, its key or its prefix."""
        return name in (self.name, self.key, self.prefix, self.prefix.removesuffix(".") or None)

    def equals(self, other: Reading) -> bool:
        """Whether both give the model the same values."""
        if self.tensors.keys() != other.tensors.keys():
            return False
        return all(_same(x, other.tensors[name]) for name, x in self.tensors.items())


def model_weights(content: object, module: nn.Module, path: Path, key: str | None = None) -> OrderedDict[str, Tensor]:
    """Find the state dict for a module in the content of a file.

    Raises:
        InputError: no reading fits, several with different values do, or ``key`` names none of them.
    """
    wanted = _shapes(module)
    found = [reading for reading in _readings(content, wanted) if key is None or reading.is_called(key)]
    if not found:
        raise _no_state_dict(content, wanted, path, key)
    fitting = [reading for reading in found if _has_all(reading, wanted)]
    # Names of older versions are not in the model: its hooks rename them when it is loaded.
    closest = sorted(found, key=lambda r: (-sum(name in r.tensors for name in wanted), len(r.prefix), -len(r.tensors)))
    checked = [(reading, _state(reading, path)) for reading in fitting or closest[:_TRIED]]
    problems = [why_not_loadable(module, state) for _, state in checked]
    good = [pair for pair, problem in zip(checked, problems, strict=True) if problem is None]
    if not good:
        as_the_model_has(checked[0][1], module, path)  # its message is better for another kind of numbers
        raise _does_not_fit(module, checked[0][0], problems[0] or "", path)
    reading, state = good[0]
    others = [other for other, _ in good[1:] if not other.equals(reading)]
    if others:
        raise _several(module, [reading, *others], path)
    _tell(reading, path)
    return state


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    """Shapes of all tensors that a checkpoint must have; counters of BatchNorm may be missing."""
    return {name: value.shape for name, value in module.state_dict().items() if not name.endswith(_COUNTER)}


def _readings(content: object, wanted: Mapping[str, torch.Size]) -> Iterator[Reading]:
    """Every key with tensors below it, without a prefix and with each prefix that a name of the model has there."""
    for key, mapping in _mappings(content, "", _DEPTH):
        tensors = {
            name: value for name, value in mapping.items() if isinstance(name, str) and isinstance(value, Tensor)
        }
        if not tensors:
            continue
        odd = tuple(str(name) for name in mapping if name not in tensors)
        versions = getattr(mapping, "_metadata", None)
        yield Reading(key, "", tensors, odd, versions)
        for prefix in _prefixes(tensors, wanted):
            own = {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
            others = tuple(name for name in tensors if not name.startswith(prefix))
            yield Reading(key, prefix, own, (*others, *odd), _without_prefix(versions, prefix))


def _mappings(content: object, key: str, depth: int) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    if not isinstance(content, Mapping):
        return
    yield key, content
    if depth:
        for name, value in content.items():
            if isinstance(name, str):
                yield from _mappings(value, f"{key}.{name}" if key else name, depth - 1)


def _prefixes(tensors: Tensors, wanted: Mapping[str, torch.Size]) -> list[str]:
    """Prefixes before the longest name of the model, wherever it occurs, and a prefix that all names have, if any."""
    found = dict[str, None]()
    if wanted:
        longest = max(wanted, key=len)
        found = {name.removesuffix(longest): None for name in tensors if name.endswith("." + longest)}
    first = next(iter(tensors))
    for end in range(1, first.count(".") + 1):
        prefix = ".".join(first.split(".")[:end]) + "."
        if all(name.startswith(prefix) for name in tensors):
            found[prefix] = None
    return list(found)


def _has_all(reading: Reading, wanted: Mapping[str, torch.Size]) -> bool:
    """Whether every weight of the model is there in its shape."""
    own = reading.tensors
    return all(name in own and (own[name].is_nested or own[name].shape == shape) for name, shape in wanted.items())


def _state(reading: Reading, path: Path) -> OrderedDict[str, Tensor]:
    state = plain_tensors(reading.tensors, path)
    # Modules read the version of the file from here.
    if reading.versions is not None:
        problem = why_not_metadata(reading.versions)
        if problem:
            fix = "save the tensors alone: torch.save(dict(model.state_dict()), path)"
            raise InputError(f"{path}: the _metadata of the state dict is damaged", why=problem, fix=fix)
        state._metadata = reading.versions  # type: ignore[attr-defined]  # where torch keeps them
    return state


def _without_prefix(versions: Any, prefix: str) -> Any:
    if not isinstance(versions, Mapping):
        return versions
    whole = prefix.removesuffix(".")
    return {
        name[len(prefix) :] if name != whole else "": version
        for name, version in versions.items()
        if isinstance(name, str) and (name.startswith(prefix) or name == whole)
    }


def _same(a: Tensor, b: Tensor) -> bool:
    alike = (a.dtype, a.shape, a.layout) == (b.dtype, b.shape, torch.strided)
    return a is b or (alike and torch.equal(a, b))


def _tell(reading: Reading, path: Path) -> None:
    left_out = list(reading.left_out)
    if not reading.name and not left_out:
        return
    beside = f"; beside them and left out: {first_of(left_out)}" if left_out else ""
    warnings.warn(f"{path}: the weights are those {reading.words}{beside}", stacklevel=2)


def _no_state_dict(content: object, wanted: Mapping[str, torch.Size], path: Path, key: str | None) -> InputError:
    names = [reading.name for reading in _readings(content, wanted) if reading.name]
    if key is not None:
        return InputError(
            f"{path} has no weights under {key!r}",
            why=f"there are {first_of(names)}" if names else "it is a plain state dict, or none",
            fix=f'`weights_key="{names[0]}"`' if names else "leave `weights_key` out",
        )
    if not isinstance(content, Mapping) or not content:
        found = "it is empty" if isinstance(content, Mapping) else f"it holds a {type(content).__name__}"
    else:
        found = f"these entries are not named tensors: {first_of([str(name) for name in content])}"
    return InputError(f"{path} holds no state dict", why=found, fix=SAVE_TENSORS)


def _does_not_fit(module: nn.Module, reading: Reading, problem: str, path: Path) -> InputError:
    where = f" (read {reading.words})" if reading.name else ""
    return InputError(
        f"{path} does not fit {type(module).__name__}{where}",
        why=problem,
        fix="use the weights of exactly this model, or the model of exactly these weights",
    )


def _several(module: nn.Module, readings: list[Reading], path: Path) -> InputError:
    return InputError(
        f"{path} fits {type(module).__name__} in {len(readings)} ways",
        why=f"weights of other values are {'; and '.join(reading.words for reading in readings)}",
        fix=" or ".join(f'`weights_key="{reading.name}"`' for reading in readings if reading.name),
    )
