"""Read a ``.pt2`` archive from a stranger: only what ``save`` writes is let through, and nothing that is code.

``torch.export.load`` trusts its file. It unpickles weights marked as pickled, runs compiled libraries it finds under
``data/aotinductor``, evaluates shape expressions and guards as Python, and resolves operator names to any attribute of
``torch``. So the entries are taken out, each held against what ``save`` writes, and packed anew: torch never sees the
stranger's archive, whose index two zip readers may read in two ways.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fxpasses.errors import InputError

FACTS = "fxpasses.json"
"""What ``save`` writes beside the program, under ``extra/``."""

_SAVE_AGAIN = "save the model again with fx.export.save"
_PROGRAM, _SAMPLES, _FACTS_ENTRY = "models/model.json", "data/sample_inputs/model.pt", f"extra/{FACTS}"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_ENTRIES = re.compile(
    r"data/weights/weight_\d+|data/constants/tensor_\d+|archive_format|archive_version|byteorder"
    r"|\.data/(version|serialization_id)|" + "|".join(map(re.escape, (_PROGRAM, _SAMPLES, _FACTS_ENTRY, *_CONFIGS)))
)
_TENSORS = re.compile(r"(weight|tensor)_\d+")
_TARGETS = re.compile(r"torch\.ops\.(aten|fxpasses)\.(?!from_file)\w+\.\w+|_operator\.\w+|math\.\w+|torch\.sym_\w+")
_EXPRESSION = re.compile(r"[\w\s'(),=+*/<>-]*(\.\d+[\w\s'(),=+*/<>-]*)*")
_WORDS = frozenset(
    "Symbol Integer Float Rational Add Mul Pow Mod Max Min FloorDiv IntTrueDiv CleanDiv PythonMod ceiling floor "
    "CeilToInt FloorToInt ToFloat True False true false positive negative nonnegative integer real zero Eq Ne Lt Le Gt "
    "Ge And Or Not".split()
)
_SYMBOL = re.compile(r"[suz]\d+|zuf\d+")


def plain_archive(path: Path, content: bytes) -> tuple[io.BytesIO, dict[str, Any]]:
    """A clean copy of an archive for ``torch.export.load``, and the facts ``save`` wrote into it.

    Raises:
        InputError: it is no archive, is damaged, was not written by ``save``, or holds something that may run code.
    """
    try:
        entries = _entries(path, content)
        if _FACTS_ENTRY not in entries or _PROGRAM not in entries:
            raise InputError(f"{path}", why="it holds no graph of fxpasses", fix=_SAVE_AGAIN)
        for name in _CONFIGS:
            _require_raw_tensors(path, name, entries)
        entries[_PROGRAM] = _plain_program(path, entries[_PROGRAM])
        facts = json.loads(entries[_FACTS_ENTRY])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # zipfile's own list: NotImplementedError for unknown compression, RuntimeError for encrypted entries
        raise InputError(f"{path}", why=f"it is no .pt2 archive, or damaged: {error}", fix=_SAVE_AGAIN) from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(f"{path}", why=f"it is damaged: {error}", fix=_SAVE_AGAIN) from error
    if not isinstance(facts, dict):
        raise InputError(f"{path}", why=f"it is damaged: {FACTS} is no table", fix=_SAVE_AGAIN)
    return _packed(entries), facts


def _entries(path: Path, content: bytes) -> dict[str, bytes]:
    """Contents by name, without the archive's own folder; every name one that ``save`` writes, and written once."""
    entries: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [entry.filename.partition("/")[2] for entry in archive.infolist()]
        if _FACTS_ENTRY not in names:
            _refuse_pickles(path, names)
            raise InputError(f"{path}", why="fx.export.save did not write it", fix=_SAVE_AGAIN)
        for name, entry in zip(names, archive.infolist(), strict=True):
            data = archive.read(entry)
            if name == _SAMPLES and data:  # we save none
                raise _runs_code(path, name, "a pickled object")
            if not _ENTRIES.fullmatch(name):
                _refuse_pickles(path, [name])
                raise _runs_code(path, entry.filename, "nothing a saved graph holds")
            if name in entries:
                raise _runs_code(path, name, "in the archive twice")
            entries[name] = data
    return entries


def _refuse_pickles(path: Path, names: list[str]) -> None:
    for name in names:
        last = name.rsplit("/", 1)[-1]
        if last.startswith(("custom_obj", "opaque_obj")) or (name.endswith((".pt", ".pkl")) and name != _SAMPLES):
            raise _runs_code(path, name, "a pickled object")


def _require_raw_tensors(path: Path, name: str, entries: dict[str, bytes]) -> None:
    for tensor in json.loads(entries[name])["config"].values():
        if tensor["use_pickle"]:
            raise _runs_code(path, tensor["path_name"], "a pickled object")
        if not _TENSORS.fullmatch(tensor["path_name"]):
            raise _runs_code(path, tensor["path_name"], "no tensor")


def _plain_program(path: Path, text: bytes) -> bytes:
    """The program, with every string that torch would resolve or evaluate checked, and without its guards."""
    program = json.loads(text)
    for key, value in _strings(program):
        if key in ("target", "as_operator") and not _TARGETS.fullmatch(value):
            raise _runs_code(path, f"{_PROGRAM}, which calls {value}", "no graph of tensor operations")
        if key == "expr_str" and not _is_shape_expression(value):
            raise _runs_code(path, f"{_PROGRAM}, with the expression {value!r}", "no graph of tensor operations")
        if key in ("in_spec", "out_spec") and ("__enum__" in value or "defaultdict" in value):
            raise _runs_code(path, f"{_PROGRAM}, with inputs or outputs in {value[:80]}", "no graph of tensors")
    program["guards_code"] = []  # Python, and capture drops them as well
    return json.dumps(program).encode()


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Each string of a JSON document with the key it stands under."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)
    elif isinstance(value, str):
        yield key, value


def _is_shape_expression(text: str) -> bool:
    words = re.findall(r"[A-Za-z_]\w*", text)
    return bool(_EXPRESSION.fullmatch(text)) and all(w in _WORDS or _SYMBOL.fullmatch(w) for w in words)


def _packed(entries: dict[str, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            archive.writestr(f"archive/{name}", data)
    buffer.seek(0)
    return buffer


def _runs_code(path: Path, name: str, what: str) -> InputError:
    return InputError(
        f"{path}",
        why=f"{name} is {what}; reading it may run code",
        fix="get the model from someone you trust, saved with fx.export.save",
    )
