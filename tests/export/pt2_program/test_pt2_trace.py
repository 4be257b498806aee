"""Source lines of nodes: kept in the usual form, and other text is dropped."""

from __future__ import annotations

import pytest

from fxpasses.export.pt2_program.trace import read_origin

TRACE = '  File "/a b/größe.py", line 7, in forward\n    y = exec(x)\nFile "m.py", line 8, in <lambda>'


def test_frames_are_kept_and_their_code_is_not() -> None:
    origin = read_origin({"stack_trace": TRACE})
    assert origin == {"stack_trace": '  File "/a b/größe.py", line 7, in forward\n  File "m.py", line 8, in <lambda>\n'}


@pytest.mark.parametrize("trace", ["exec(1)", '"""\nexec(1)\n"""', 'File "x\x1b[2J", line 1, in f', 7, None, {}])
def test_other_traces_are_dropped(trace: object) -> None:
    assert read_origin({"stack_trace": trace}) == {}


def test_modules() -> None:
    stack = "L__self__,,a.<locals>.Net;L__self___conv,features.0,torch.nn.modules.conv.Conv2d"
    assert read_origin({"nn_module_stack": stack}) == {
        "nn_module_stack": {
            "L__self__": ("", "a.<locals>.Net"),
            "L__self___conv": ("features.0", "torch.nn.modules.conv.Conv2d"),
        }
    }


@pytest.mark.parametrize(
    "stack", ["k,x' + exec(1) + ',torch.nn.Module", "k,forward,M", "k,a.__class__,M", "k", "", 7, None]
)
def test_other_modules_are_dropped(stack: object) -> None:
    assert read_origin({"nn_module_stack": stack}) == {}


def test_no_metadata() -> None:
    assert read_origin(None) == {} and read_origin([1]) == {}
