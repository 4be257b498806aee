"""Archives from strangers: content that torch would unpickle, load, import or evaluate is refused before it can run.

More of them, made by the hundred, are in ``tests/hostile``.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from int8_files import inputs_of
from tiny_graphs import outputs_of, quantized

from fxpasses.errors import InputError
from fxpasses.export import load, save
from fxpasses.export.pt2_records.archive import read_entries

NET = "conv_bn_relu"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
PROGRAM = "models/model.json"

Entries = dict[str, bytes]


@cache
def _saved() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return save(quantized(NET), Path(folder) / "model.pt2").read_bytes()


def _entries() -> Entries:
    with zipfile.ZipFile(io.BytesIO(_saved())) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def _written(path: Path, entries: Entries) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(f"archive/{name}", data)
    return path


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (open, (str(self.path), "w"))


def _canary(path: Path) -> bytes:
    return pickle.dumps(Canary(path))


def _torch_canary(path: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(Canary(path), buffer)
    return buffer.getvalue()


def _json_edit(entries: Entries, name: str, edit: Callable[[Any], None]) -> None:
    document = json.loads(entries[name])
    edit(document)
    entries[name] = json.dumps(document).encode()


def test_a_packed_copy_loads_the_same(tmp_path: Path) -> None:
    loaded = load(_written(tmp_path / "model.pt2", _entries()))
    (found,), (expected,) = (outputs_of(gm, inputs_of(NET)) for gm in (loaded, quantized(NET)))
    assert torch.equal(found, expected)


def test_a_canary_runs_where_nobody_looks(tmp_path: Path) -> None:
    """The payload makes its file if it is unpickled: otherwise the tests below could not fail."""
    torch.load(io.BytesIO(_torch_canary(tmp_path / "one")), weights_only=False).close()
    pickle.loads(_canary(tmp_path / "two")).close()  # noqa: S301  # our own bytes
    assert {p.name for p in tmp_path.iterdir()} == {"one", "two"}


def _pickled_weight(entries: Entries, canary: Path) -> None:
    entries["data/weights/weight_0"] = _torch_canary(canary)

    def mark(config: Any) -> None:
        next(iter(config["config"].values()))["use_pickle"] = True

    _json_edit(entries, WEIGHTS, mark)


def _pickled_constant(entries: Entries, canary: Path) -> None:
    entries["data/constants/tensor_0"] = _torch_canary(canary)
    entry = {"path_name": "tensor_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    _json_edit(entries, CONSTANTS, lambda config: config["config"].update(c=entry))


def _opaque_object(entries: Entries, canary: Path) -> None:
    entries["data/constants/opaque_obj_0"] = _canary(canary)
    entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": False, "tensor_meta": None}
    _json_edit(entries, CONSTANTS, lambda config: config["config"].update(c=entry))


def _opaque_object_by_other_case(entries: Entries, canary: Path) -> None:
    """torch's zip reader does not tell cases apart."""
    _opaque_object(entries, canary)
    entries["data/constants/OPAQUE_OBJ_0"] = entries.pop("data/constants/opaque_obj_0")


def _opaque_name_without_entry(entries: Entries, canary: Path) -> None:
    _opaque_object(entries, canary)
    entries["data/constants/tensor_0"] = entries.pop("data/constants/opaque_obj_0")


def _sample_inputs(entries: Entries, canary: Path) -> None:
    entries["data/sample_inputs/model.pt"] = _torch_canary(canary)


def _legacy_weights(entries: Entries, canary: Path) -> None:
    entries["data/weights/model.pt"] = _torch_canary(canary)


def _compiled_library(entries: Entries, canary: Path) -> None:
    entries["data/aotinductor/model/model.so"] = b"\x7fELF"


def _second_model(entries: Entries, canary: Path) -> None:
    entries["models/other.json"] = entries[PROGRAM]


@pytest.mark.parametrize(
    ("attack", "why"),
    [
        (_pickled_weight, "weight_0 is a pickled object"),
        (_pickled_constant, "tensor_0 is a pickled object"),
        (_opaque_object, "opaque_obj_0 is a pickled object"),
        (_opaque_object_by_other_case, "OPAQUE_OBJ_0 is nothing a saved graph holds"),
        (_opaque_name_without_entry, "opaque_obj_0 is a pickled object"),
        (_sample_inputs, "data/sample_inputs/model.pt is a pickled object"),
        (_legacy_weights, "data/weights/model.pt is a pickled object"),
        (_compiled_library, "data/aotinductor/model/model.so is nothing a saved graph holds"),
        (_second_model, "models/other.json is nothing a saved graph holds"),
    ],
)
def test_entries_that_may_run_code(attack: Callable[[Entries, Path], None], why: str, tmp_path: Path) -> None:
    entries, canary = _entries(), tmp_path / "canary"
    attack(entries, canary)
    path = _written(tmp_path / "model.pt2", entries)
    with pytest.raises(InputError, match=rf"(?s){why}.*may run code.*someone you trust"):
        load(path)
    assert not canary.exists()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_an_entry_that_is_there_twice(tmp_path: Path) -> None:
    path = _written(tmp_path / "model.pt2", _entries())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"archive/{WEIGHTS}", _entries()[WEIGHTS])
    with pytest.raises(InputError, match=f"{WEIGHTS} is in the archive twice"):
        load(path)


def _with_target(target: str) -> Callable[[Any], None]:
    def edit(program: Any) -> None:
        program["graph_module"]["graph"]["nodes"][0]["target"] = target

    return edit


def _with_expression(text: str) -> Callable[[Any], None]:
    """Replace the batch size's symbol by an expression."""

    def replace(value: Any) -> None:
        if isinstance(value, dict):
            if "expr_str" in value:
                value["expr_str"] = text
            for inner in value.values():
                replace(inner)
        elif isinstance(value, list):
            for inner in value:
                replace(inner)

    return replace


def _with_spec(program: Any) -> None:
    call = program["graph_module"]["module_call_graph"][0]["signature"]
    call["out_spec"] = '[1, {"type": "collections.defaultdict", "context": "{}", "children_spec": []}]'


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (_with_target("torch.os.system"), r"calls torch.os.system"),
        (_with_target("torch.hub.load"), r"calls torch.hub.load"),
        (_with_target("torch.ops.aten.from_file.default"), r"calls torch.ops.aten.from_file"),
        (_with_target("#extension"), r"calls #extension"),
        (_with_expression("__import__('os').system('true')"), r"with the expression .*__import__"),
        (_with_expression("exit()"), r"with the expression 'exit\(\)'"),
        (_with_expression("s0.__class__"), r"with the expression 's0.__class__'"),
        (_with_spec, r"with inputs or outputs in .*defaultdict.*may run code"),
    ],
)
def test_programs_that_may_run_code(edit: Callable[[Any], None], why: str, tmp_path: Path) -> None:
    entries = _entries()
    before = entries[PROGRAM]
    _json_edit(entries, PROGRAM, edit)
    assert entries[PROGRAM] != before
    with pytest.raises(InputError, match=rf"(?s){PROGRAM},? {why}"):
        load(_written(tmp_path / "model.pt2", entries))


def test_guards_are_python_and_not_read(tmp_path: Path) -> None:
    entries, canary = _entries(), tmp_path / "canary"
    _json_edit(entries, PROGRAM, lambda program: program.update(guards_code=[f"open({str(canary)!r}, 'w')"]))
    load(_written(tmp_path / "model.pt2", entries))
    assert not canary.exists()


def test_entries_come_without_their_folder(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(_saved())
    assert read_entries(path) == _entries()


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt2")
    with pytest.raises(InputError, match=r"(?s)pipe.pt2.*only files are read.*name a .pt2 file"):
        load(tmp_path / "pipe.pt2")


@pytest.mark.parametrize("content", [b"", b"hello, this is no archive", b"\x80\x04\x95 a pickle"])
def test_garbage(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"(?s)model.pt2.*it is no .pt2 archive, or damaged.*save the model again"):
        load(path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_cut_short(part: float, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(_saved()[: int(len(_saved()) * part)])
    with pytest.raises(InputError, match=r"it is no .pt2 archive, or damaged"):
        load(path)


def test_a_flipped_byte(tmp_path: Path) -> None:
    content = bytearray(_saved())
    with zipfile.ZipFile(io.BytesIO(_saved())) as archive:
        content[archive.infolist()[0].header_offset + 400] ^= 0xFF
    path = tmp_path / "model.pt2"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"it is no .pt2 archive, or damaged: Bad CRC-32"):
        load(path)


def test_an_archive_of_torch_export(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    program = torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(2, 3),))
    program.example_inputs = None
    torch.export.save(program, path)
    with pytest.raises(InputError, match=r"(?s)fx.export.save did not write it.*save the model again"):
        load(path)


def test_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    torch.save(Canary(tmp_path / "canary"), path)
    with pytest.raises(InputError, match=r"data.pkl is a pickled object"):
        load(path)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", ["extra/fxpasses.json", WEIGHTS, PROGRAM])
@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe"])
def test_damaged_json(name: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is damaged"):
        load(_written(tmp_path / "model.pt2", _entries() | {name: content}))


@pytest.mark.parametrize("name", [WEIGHTS, PROGRAM, "data/weights/weight_0"])
def test_a_missing_entry(name: str, tmp_path: Path) -> None:
    entries = _entries()
    del entries[name]
    with pytest.raises(InputError, match=r"it is damaged"):
        load(_written(tmp_path / "model.pt2", entries))
