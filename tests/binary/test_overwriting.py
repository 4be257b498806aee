"""BinaryConnect for any module, compared with the passes that do the same to a graph."""

from __future__ import annotations

import torch
from torch import nn

import fxpasses
from fxpasses.binary import BinaryConnect, binarize
from fxpasses.binary.layers import latent_layers, settle_latent_weights

X = torch.randn(8, 6, generator=torch.Generator().manual_seed(2))
Y = (X[:, 0] > 0).long()


def model() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))


def test_which_weights() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    bc = BinaryConnect(net)
    assert [w.shape for w in bc.target_modules] == [(2, 1, 3, 3), (2, 2)]  # no bias, no BatchNorm


def test_overwrite_and_restore() -> None:
    bc = BinaryConnect(model())
    real = [w.detach().clone() for w in bc.target_modules]
    with torch.no_grad():
        bc.target_modules[0][0, 0] = 0.0
    real[0][0, 0] = 0.0
    bc.binarization()
    assert bc.target_modules[0][0, 0] == 1  # of zero
    assert all(set(w.unique().tolist()) <= {-1, 1} for w in bc.target_modules)
    bc.restore()
    assert all(torch.equal(a, b) for a, b in zip(real, bc.target_modules, strict=True))
    with torch.no_grad():
        bc.target_modules[0].fill_(7.0)
    bc.clip()
    assert bc.target_modules[0].unique().tolist() == [1]


def test_it_is_what_the_passes_do() -> None:
    """Ten steps of plain SGD end at the same weights, bit for bit."""
    bc = BinaryConnect(model())
    graph = binarize(fxpasses.capture(model().eval(), X), "binaryconnect")
    ours = torch.optim.SGD(bc.parameters(), 0.1)
    theirs = torch.optim.SGD(graph.parameters(), 0.1)
    for _ in range(10):
        bc.binarization()
        ours.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(bc(X), Y))
        bc.restore()
        ours.step()
        bc.clip()
        theirs.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(graph(X), Y))
        theirs.step()
        settle_latent_weights(graph)
    latent = [layer.weight for layer in latent_layers(graph).values()]
    assert all(torch.equal(a, b) for a, b in zip(bc.target_modules, latent, strict=True))
