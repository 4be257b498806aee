"""``csv=FILE``: the meaning of columns, and errors that name row and column of a cell."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from fxpasses.errors import InputError
from fxpasses.models.data.data_source import DataSource
from fxpasses.models.datasets import open_dataset
from fxpasses.models.model_input import InputShape, ModelInput


def opened(tmp_path: Path, text: str, shape: InputShape = (2,)) -> DataSource:
    path = tmp_path / "table.csv"
    path.write_text(text)
    return open_dataset(f"csv={path}", ModelInput(shape))


ROWS = "\n".join(f"{n},{2 * n},{n % 3}" for n in range(10))


def test_classes_and_every_fifth_row_held_out(tmp_path: Path) -> None:
    source = opened(tmp_path, f"a,b,label\n{ROWS}\n")
    assert (source.calibration_images, source.evaluation_images) == (8, 2)
    ((inputs, labels),) = source.evaluation()
    assert torch.equal(inputs, torch.tensor([[4.0, 8], [9, 18]]))
    assert torch.equal(labels, torch.tensor([1, 0]))
    assert torch.cat(list(source.calibration(8)))[:, 0].sum() == 0 + 1 + 2 + 3 + 5 + 6 + 7 + 8


def test_the_last_column_is_predicted_where_none_is_named(tmp_path: Path) -> None:
    ((_, labels),) = opened(tmp_path, f"a,b,price\n{ROWS}\n").evaluation()
    assert torch.equal(labels, torch.tensor([1.0, 0]))


def test_several_targets_and_a_split_of_ones_own(tmp_path: Path) -> None:
    text = "split,target_x,a,b,target_y\ntrain,1,2,3,4\nval,5,6,7,8\n"
    ((inputs, labels),) = opened(tmp_path, text).evaluation()
    assert (inputs.tolist(), labels.tolist()) == ([[6.0, 7.0]], [[5.0, 8.0]])


def test_images_are_read_beside_the_file(tmp_path: Path) -> None:
    Image.new("L", (4, 3), 255).save(tmp_path / "white.png")
    text = "image,label,split\nwhite.png,0.5,train\nwhite.png,0.25,val\n"
    ((inputs, labels),) = opened(tmp_path, text, (1, 3, 4)).evaluation()
    assert torch.equal(inputs, torch.ones(1, 1, 3, 4))
    assert labels.tolist() == [0.25]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("a,b,label\n", "has no rows"),
        ("1,2,3\n4,5,6\n", "has no header"),
        ("a,a,label\n4,5,6\n", "has no header"),
        ("a,b,label\n1,2\n", r"(?s)row 2 is incomplete.*it has 2 cells, the header 3"),
        ("a,b,label\n1,2,3\n1,two,3\n", r"row 3: b is 'two'"),
        ("a,b,label\n1,nan,3\n", r"row 2: b is 'nan'"),
        ("a,b,label\n1,2,cat\n", r"row 2: label is 'cat'"),
        ('a,b,label\n1,"2,3\n', "is no table"),
        ("a,b,label,split\n1,2,3,test\n", r"(?s)row 2: split is 'test'.*train or val"),
        ("a,b,label\n1,2,3\n", "has no row to evaluate on"),
        ("a,b,label,split\n1,2,3,val\n", "has no row to calibrate on"),
        (f"a,b,c,label\n{ROWS.replace(',', ',0,', 1)}\n", "incomplete"),
        ("a,label,split\n1,2,train\n1,2,val\n", r"(?s)does not fit the model.*rows are 1 numbers, the model takes 2"),
        ("image,label,split\nx.png,2,train\nx.png,2,val\n", "images have 1 or 3 channels, the model takes 2"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(tmp_path, text)


def test_files_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot open .*x.png"):
        opened(tmp_path, "image,label,split\nx.png,2,train\nx.png,2,val\n", (1, 3, 4))
    with pytest.raises(InputError, match=r"cannot read the table .*gone.csv"):
        open_dataset(f"csv={tmp_path / 'gone.csv'}", ModelInput((2,)))
