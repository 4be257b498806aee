"""Every pass keeps its contract on every tiny net."""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from importlib import import_module

import pytest
from contracts import CONTRACTS, check_contract
from odd_nets import ODD
from tiny_nets.all_nets import TINY
from tiny_nets.share import DAILY, each_net

import fxpasses.passes
from fxpasses.graph.pass_runner import PassResult, pass_name
from fxpasses.passes.fusion import FUSION
from fxpasses.quantization.int8.rewrites import LOWERING

NETS = TINY | ODD


@cache
def checked(graph_pass: str, net: str) -> PassResult:
    return check_contract(CONTRACTS[graph_pass], NETS[net])


@pytest.mark.parametrize("net", each_net(NETS))
@pytest.mark.parametrize("graph_pass", CONTRACTS)
def test_keeps_its_contract(graph_pass: str, net: str) -> None:
    result = checked(graph_pass, net)
    assert CONTRACTS[graph_pass].refuses or not result.skipped


@pytest.mark.parametrize("graph_pass", CONTRACTS)
def test_the_nets_try_both_changing_and_refusing(graph_pass: str) -> None:
    """The nets must test both changes and refusals, since otherwise a contract would hold for anything; so must those
    of the default suite alone.
    """
    results = [checked(graph_pass, net) for net in (*DAILY, *ODD)]
    assert any(result.changed for result in results)
    assert any(result.skipped for result in results) == CONTRACTS[graph_pass].refuses


def test_every_pass_has_a_contract() -> None:
    """Contracts exist for all functions of fxpasses/passes that return a PassResult, and for every pass of fuse and
    observe.
    """
    written = set()
    for module in pkgutil.iter_modules(fxpasses.passes.__path__):
        for name, function in vars(import_module(f"fxpasses.passes.{module.name}")).items():
            if inspect.isfunction(function) and function.__annotations__.get("return") == "PassResult":
                written.add(name)
    assert written | {pass_name(p) for p in (*FUSION, *LOWERING)} == set(CONTRACTS)
