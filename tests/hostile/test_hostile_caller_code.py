"""Failing code of the caller's: reported with exit code 2, file, line and remedy; torch's defaults do not change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from caller_code import ACCEPTED_DATA, DATA, MODELS, Case
from cli_runs import OLD, fxpasses, fxpasses_process, is_refused, tree

from fxpasses.capturing.attempts import capture
from fxpasses.cli.folders.fitting import fitted
from fxpasses.errors import FxPassesError, InputError
from fxpasses.models.datasets import open_dataset
from fxpasses.models.loaded_model import LoadedModel
from fxpasses.models.users.user_data import WITHOUT_END
from fxpasses.models.zoo import load_model

FEW = ("--calib", "8", "--eval", "8", "--no-bench", "--threads", "1")


@pytest.fixture(autouse=True)
def defaults_stay() -> Iterator[None]:
    """Check that torch's defaults are unchanged after the caller's code."""
    yield
    assert (torch.get_default_dtype(), torch.get_default_device()) == (torch.float32, torch.device("cpu"))


@pytest.fixture(scope="module")
def digits_net() -> LoadedModel:
    return load_model("digits_cnn", fresh=True)


def _spec(case: Case, folder: Path) -> str:
    (folder / "mine.py").write_text(case.text)
    return f"{folder / 'mine.py'}:f"


def _is_told(error: BaseException, case: Case, folder: Path) -> None:
    assert case.said in str(error)
    assert "\n  fix: " in str(error)
    if case.line is not None:
        assert re.search(rf'File "{folder / "mine.py"}", line {case.line}\b', str(error)), str(error)


def _read(spec: str, model: LoadedModel) -> None:
    """Use data in the way of every command."""
    data = fitted(model, open_dataset(spec, model))
    list(data.calibration(min(8, data.calibration_images)))
    for inputs, labels in data.evaluation(limit=min(16, data.evaluation_images)):
        assert not inputs.requires_grad
        assert labels is None or labels.dtype == torch.int64


def _open(spec: str) -> None:
    """Use a model in the way of every command."""
    model = load_model(spec)
    fitted(model, open_dataset("random=1x8x8", model))
    capture(model.module, model.example_inputs())


def _is_base(case: Case) -> bool:
    return "BaseException" in case.source


@pytest.mark.parametrize("case", [c for c in DATA if not _is_base(c)], ids=lambda c: c.name)
def test_data(case: Case, tmp_path: Path, digits_net: LoadedModel) -> None:
    with pytest.raises(InputError) as caught:
        _read(_spec(case, tmp_path), digits_net)
    _is_told(caught.value, case, tmp_path)


@pytest.mark.parametrize("case", ACCEPTED_DATA, ids=lambda c: c.name)
def test_data_that_is_taken(case: Case, tmp_path: Path, digits_net: LoadedModel) -> None:
    _read(_spec(case, tmp_path), digits_net)


@pytest.mark.parametrize("case", [c for c in MODELS if not _is_base(c)], ids=lambda c: c.name)
def test_models(case: Case, tmp_path: Path) -> None:
    with pytest.raises(FxPassesError) as caught:
        _open(_spec(case, tmp_path))
    _is_told(caught.value, case, tmp_path)


@pytest.mark.parametrize("case", [c for c in (*DATA, *MODELS) if _is_base(c)], ids=lambda c: c.name)
def test_base_exceptions_stay_what_they_are(case: Case, tmp_path: Path) -> None:
    """In Python they are raised; the command line reports them with the line that raised, and exits with 2."""
    spec = _spec(case, tmp_path)
    with pytest.raises(BaseException, match=r"^s$") as caught:
        _open(spec)
    assert not isinstance(caught.value, Exception)
    done = fxpasses("quantize", spec, "--data", "random=1x8x8", *FEW, "--out", tmp_path / "out")
    is_refused(done, f'mine.py", line {case.line}')


@pytest.mark.slow
def test_the_command_line_ends_with_2_and_leaves_an_older_result(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_bytes(OLD)
    case = next(case for case in DATA if case.name == "exit at a batch")
    data = ("digits_cnn", "--data", _spec(case, tmp_path))
    is_refused(fxpasses_process("quantize", *data, *FEW, "--out", tmp_path / "out"), "sys.exit(0)", tmp_path / "out")
    is_refused(fxpasses("train", *data, "--epochs", "1", "--out", tmp_path / "w.pt"), "sys.exit(0)")
    assert tree(tmp_path).keys() == {"mine.py", "out/report.json"}


def test_data_without_end_is_read_as_far_as_asked(tmp_path: Path, digits_net: LoadedModel) -> None:
    case = next(case for case in ACCEPTED_DATA if case.name == "labels without end")
    data = open_dataset(_spec(case, tmp_path), digits_net)
    assert data.evaluation_images == WITHOUT_END
    assert sum(len(inputs) for inputs in data.calibration(20)) == 20
    with pytest.raises(InputError, match="has no end"):
        data.evaluation()


def test_the_remedy_for_data_without_end(tmp_path: Path, digits_net: LoadedModel) -> None:
    """``an iterable with a length``: it is read whole."""
    source = (
        "class Long:\n    def __len__(self): return 9000\n    def __iter__(self):\n"
        "        return (torch.zeros(2, 1, 8, 8) for _ in range(9000))\ndef f(): return Long()\n"
    )
    data = open_dataset(_spec(Case("long", source, ""), tmp_path), digits_net)
    assert data.evaluation_images == 18_000


OWN_SOURCE = """
from fxpasses.models.datasets import open_dataset
class Mine:
    name = "mine"
    num_classes = 10
    input_shape = (1, 8, 8)
    calibration_images = 16
    evaluation_images = {images}
    def calibration(self, images, batch_size=8, seed=0):
        while True: yield torch.zeros(8, 1, 8, 8)
    def evaluation(self, batch_size=50, limit=None):
        while True: yield torch.zeros(5, 1, 8, 8), torch.full((5,), {label})
def f(): return Mine()
"""


def _own(tmp_path: Path, label: int = 3, images: object = 12) -> str:
    return _spec(Case("own", OWN_SOURCE.format(label=label, images=images), ""), tmp_path)


def test_a_data_source_of_the_callers_is_read_as_far_as_asked(tmp_path: Path, digits_net: LoadedModel) -> None:
    data = fitted(digits_net, open_dataset(_own(tmp_path), digits_net))
    assert [len(inputs) for inputs in data.calibration(12)] == [8, 4]
    assert [len(inputs) for inputs, _ in data.evaluation()] == [5, 5, 2]


def test_a_data_source_that_is_wrong(tmp_path: Path, digits_net: LoadedModel) -> None:
    data = fitted(digits_net, open_dataset(_own(tmp_path, label=12), digits_net))
    with pytest.raises(InputError, match=r"(?s)has the label 12.*10 classes apart"):
        list(data.evaluation())
    with pytest.raises(InputError, match="evaluation_images is -1"):
        len(str(open_dataset(_own(tmp_path, images=-1), digits_net).evaluation_images))


EXITS_IN_TRAINING = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)
    def forward(self, x):
        if self.training: sys.exit(0)  # here
        return self.layer(x.flatten(1))
def f(): return Net().eval(), (1, 8, 8)
def data(): return [(torch.zeros(8, 1, 8, 8), torch.zeros(8))]
"""


def test_a_model_that_exits_in_training(tmp_path: Path) -> None:
    case = Case("exits", EXITS_IN_TRAINING, "")
    spec = _spec(case, tmp_path)
    run = ("train", spec, "--data", spec.replace(":f", ":data"), "--epochs", "1", "--out", tmp_path / "w.pt")
    done = fxpasses(*run)
    is_refused(done, f'mine.py", line {case.line}')
    assert "sys.exit(0)" in done.err
    assert not (tmp_path / "w.pt").exists()
