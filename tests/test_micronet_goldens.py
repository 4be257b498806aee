"""Published scores are reproduced: for whole networks if their definition is known, else from stated parts."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
import torch
import torchvision
from torch import Tensor, fx, nn

import fxpasses
from fxpasses.micronet.api import MicroNetScore, score
from fxpasses.micronet.bases import BASES
from fxpasses.micronet.rows import Row

IN_THOUSANDS = 0.0006
"""Tolerance of golden figures, which are in millions with three digits after the point."""

SKIP_ADDS = 210_112
"""Number of values that EfficientNet-B0's nine residual adds sum, from its definition."""
EXPANSION = 6
"""Factor by which the challenge's notebook overcounts residual adds: it takes the block's expanded channels."""


@pytest.fixture(scope="module")
def efficientnet() -> fx.GraphModule:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = torchvision.models.efficientnet_b0(weights=None).eval()
    return fxpasses.fuse(fxpasses.capture(model, torch.zeros(1, 3, 224, 224)))


@pytest.fixture(scope="module")
def with_freebie(efficientnet: fx.GraphModule) -> MicroNetScore:
    return score(efficientnet, "imagenet", freebie=True)


def in_millions(found: MicroNetScore) -> tuple[float, float, float]:
    """MB, multiplies and adds as the challenge's notebook prints them, including its error with residual adds."""
    slip = SKIP_ADDS * (EXPANSION - 1)
    return found.storage_mb, found.multiplies / 1e6, (found.adds() + slip) / 1e6


def score_with_slip(found: MicroNetScore) -> float:
    return found.score() + SKIP_ADDS * (EXPANSION - 1) / found.base.operations


@pytest.mark.slow
def test_efficientnet_b0_with_the_freebie(with_freebie: MicroNetScore) -> None:
    found = with_freebie
    assert in_millions(found) == pytest.approx((10.535, 203.312, 395.601), abs=IN_THOUSANDS)
    assert sum(in_millions(found)[1:]) == pytest.approx(598.913, abs=2 * IN_THOUSANDS)
    assert score_with_slip(found) == pytest.approx(0.8936, abs=5e-5)


def test_efficientnet_b0_adds_what_its_graph_adds(with_freebie: MicroNetScore) -> None:
    skips = [row for row in with_freebie.rows if row.operator == "add"]
    assert sum(w.adds for row in skips for w in row.work) == SKIP_ADDS and len(skips) == 9


@pytest.mark.parametrize(("bits", "expected"), [(32, 1.4491), (16, 0.8936), (8, 0.6159)])
def test_efficientnet_b0_at_other_widths(efficientnet: fx.GraphModule, bits: int, expected: float) -> None:
    found = score(efficientnet, "imagenet", weight_bits=bits, activation_bits=bits)
    assert score_with_slip(found) == pytest.approx(expected, abs=5e-5)
    if bits == 32:
        assert in_millions(found) == pytest.approx((21.070, 406.623, 395.601), abs=IN_THOUSANDS)
        assert sum(in_millions(found)[1:]) == pytest.approx(802.224, abs=2 * IN_THOUSANDS)


LINES = {
    "_conv_stem": (("features_0_0", "silu"), 0.002, 6.021, 11.239),
    "block_0": (("features_1_0",), 0.003, 5.821, 10.839),
    "_conv_head": (("features_8_0", "silu_48"), 0.822, 10.129, 20.133),
    "_avg_pooling": (("adaptive_avg_pool2d_16",), 0.0, 0.001, 0.061),
    "_fc": (("classifier_1",), 2.562, 0.640, 1.280),
}


@pytest.mark.parametrize("name", LINES)
def test_efficientnet_b0_line_by_line(with_freebie: MicroNetScore, name: str) -> None:
    places, mb, multiplies, adds = LINES[name]
    rows = [row for row in with_freebie.rows if belongs(row, places, name)]
    found = (
        float(total(row.params(freebie=True) for row in rows)) * 4 / 1e6,
        float(total(row.multiplies(freebie=True) for row in rows)) / 1e6,
        float(total(row.adds("32") for row in rows)) / 1e6,
    )
    assert found == pytest.approx((mb, multiplies, adds), abs=IN_THOUSANDS)


BLOCK_0 = ("silu_1", "adaptive_avg_pool2d", "silu_2", "sigmoid", "mul_16")
"""Nodes of the first block that are no layers."""


def belongs(row: Row, places: tuple[str, ...], name: str) -> bool:
    layer = any(row.name.startswith(place) for place in places if place.startswith("features"))
    return layer or row.name in (BLOCK_0 if name == "block_0" else places)


def total(values: object) -> Fraction:
    return sum(values, Fraction(0))  # type: ignore[call-overload, no-any-return]  # an iterable of fractions


def masked(graph: fx.GraphModule, share: float) -> fx.GraphModule:
    """Copy with that share of each layer's weights zero, spread evenly over its filters."""
    twin = fxpasses.fuse(graph)
    for module in twin.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            n = module.weight.numel()
            place = torch.arange(n, dtype=torch.float64)
            kept = ((place + 1) * (1 - share) + 1e-9).floor() > (place * (1 - share) + 1e-9).floor()
            ones = torch.where(module.weight == 0, 1.0, module.weight)
            module.weight = nn.Parameter((ones * kept.reshape(module.weight.shape)).detach())
    return twin


@pytest.mark.parametrize(
    ("share", "mb", "multiplies", "adds"),
    [
        pytest.param(0.1, 10.142, 184.021, 357.020, marks=pytest.mark.slow),
        pytest.param(0.5, 5.953, 106.858, 202.694, marks=pytest.mark.slow),
        (0.9, 1.764, 29.695, 48.368),
    ],
)
def test_efficientnet_b0_pruned(
    efficientnet: fx.GraphModule,
    with_freebie: MicroNetScore,
    share: float,
    mb: float,
    multiplies: float,
    adds: float,
) -> None:
    """The notebook multiplies every length by a share, so that parts of weights are left; a mask keeps whole ones."""
    pruned = masked(efficientnet, share)
    found = score(pruned, "imagenet", freebie=True)
    weights, products, empty = parts_of_weights(efficientnet, with_freebie, share)
    ours = in_millions(found)
    assert ours[0] + weights * 2 / 1e6 == pytest.approx(mb, abs=IN_THOUSANDS)
    assert ours[1] + products / 2 / 1e6 == pytest.approx(multiplies, abs=IN_THOUSANDS)
    assert ours[2] + (products - empty) / 1e6 == pytest.approx(adds, abs=IN_THOUSANDS)
    if share == 0.9:
        eight = score(pruned, "imagenet", weight_bits=8, activation_bits=8)
        assert score_with_slip(eight) + (products - empty) / 1170e6 == pytest.approx(0.0979, abs=6e-5)


def parts_of_weights(graph: fx.GraphModule, dense: MicroNetScore, share: float) -> tuple[float, float, float]:
    """Differences between the notebook and a mask of whole weights: parts of weights that it keeps, their products, and
    the adds that it subtracts for filters of less than one weight, (1 - L (1 - s)) E of them.
    """
    positions = {row.name: row.work[0].macs for row in dense.rows if row.work}
    weights = products = empty = 0.0
    for name, module in graph.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            n, length = module.weight.numel(), module.weight[0].numel()
            at = positions[name.replace(".", "_")] / n
            part = n * (1 - share) - int(n * (1 - share) + 1e-9)
            weights, products = weights + part, products + part * at
            if length * (1 - share) < 1:
                empty += (len(module.weight) - int(n * (1 - share) + 1e-9)) * at
    return weights, products, empty


class WideBlock(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(channels_in), nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        widens = channels_in != channels
        self.shortcut = nn.Conv2d(channels_in, channels, 1, stride, bias=False) if widens else None

    def forward(self, x: Tensor) -> Tensor:
        active = torch.relu(self.norm1(x))
        around = x if self.shortcut is None else self.shortcut(active)
        inner: Tensor = self.conv2(torch.relu(self.norm2(self.conv1(active))))
        return inner + around


def wide_resnet() -> nn.Module:
    """WRN-28-10 for CIFAR-100."""
    widths = [16] + [160] * 4 + [320] * 4 + [640] * 4
    blocks = [WideBlock(a, b, 2 if number in (4, 8) else 1) for number, (a, b) in enumerate(pairwise(widths))]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False),
        *blocks,
        nn.BatchNorm2d(640),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(640, 100),
    )


@pytest.fixture(scope="module")
def wrn() -> fx.GraphModule:
    return fxpasses.fuse(fxpasses.capture(wide_resnet().eval(), torch.zeros(1, 3, 32, 32)))


@pytest.mark.slow
def test_wrn_28_10_with_the_freebie(wrn: fx.GraphModule) -> None:
    found = score(wrn, freebie=True)
    assert found.params / 1e6 == pytest.approx(18.264, abs=IN_THOUSANDS)
    assert found.score() == pytest.approx(1.2503, abs=5e-5)


FIRST_ACTIVATION = 16 * 32 * 32
"""Number of values of the first block's BatchNorm and ReLU, which the golden figures leave out."""


@pytest.mark.slow
def test_wrn_28_10(wrn: fx.GraphModule) -> None:
    found = score(wrn)
    assert found.params / 1e6 == pytest.approx(36.528, abs=IN_THOUSANDS)
    leaves_out = FIRST_ACTIVATION
    millions = (
        (found.multiplies - leaves_out) / 1e6,
        (found.adds() - leaves_out) / 1e6,
        (found.operations() - 2 * leaves_out) / 1e6,
    )
    assert millions == pytest.approx((5245.68, 5244.27, 10_489.95), abs=0.006)
    assert found.score() == pytest.approx(2.0008, abs=5e-5)


SINGLE: dict[str, tuple[nn.Module, tuple[int, ...], bool, tuple[float, float, float]]] = {
    "OSI-AI stem": (
        nn.Sequential(nn.Conv2d(3, 24, 3, 2, bias=False), nn.SiLU()),
        (1, 3, 63, 63),
        False,
        (648, 691_920, 622_728),
    ),
    "OSI-AI head": (
        nn.Sequential(nn.Conv2d(96, 136, 1, bias=False), nn.SiLU()),
        (1, 96, 7, 7),
        False,
        (13_056, 659_736, 639_744),
    ),
    "OSI-AI average": (nn.AdaptiveAvgPool2d(1), (1, 136, 7, 7), False, (0, 136, 6_528)),
    "OSI-AI classifier": (nn.Linear(136, 100), (1, 136), False, (13_700, 13_600, 13_600)),
    "BrAIn first": (
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        (1, 3, 32, 32),
        True,
        (216, 221_184, 647_168 - 221_184),
    ),
    # BrAIn's account leaves out the 100 adds of the bias
    "BrAIn classifier": (nn.Linear(226, 100), (1, 226), True, (11_350, 11_300, 33_800 - 11_300 + 100)),
}


@pytest.mark.parametrize("name", SINGLE)
def test_single_layers(name: str) -> None:
    module, shape, freebie, expected = SINGLE[name]
    found = score(fxpasses.capture(module.eval(), torch.zeros(shape)), freebie=freebie)
    assert (found.params, found.multiplies, found.adds()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("base", "params", "operations", "expected", "digits"),
    [
        ("imagenet", 3e6, 500e6, 0.862, 3),  # the site's example
        ("cifar100", 108_108.75, 26_052_109, 0.0054454, 7),  # KAIST AI
        ("cifar100", 0.2119e6, 118.6e6, 0.01711, 5),  # MSUNet v1
        ("cifar100", 0.1204e6, 97.01e6, 0.01255, 5),  # v2
        ("cifar100", 0.09853e6, 85.27e6, 0.01083, 5),  # v3
        ("cifar100", 5_174_199, 2_548_422_969, 0.38470, 5),  # tsauri, WRN-34-9
        ("cifar100", 0.43e6, 129.83e6, 0.0242, 4),  # HHI-MAL, adds of 32 bits
        ("cifar100", 0.43e6, 66.77e6, 0.0182, 3),  # adds of 16 bits; 0.43 is rounded
        ("cifar100", 0.006534 * 36.5e6, 0.008447 * 10.49e9, 0.014981, 6),  # OSI-AI, stated as parts
    ],
)
def test_stated_totals(base: str, params: float, operations: float, expected: float, digits: int) -> None:
    assert BASES[base].score(params, operations) == pytest.approx(expected, abs=0.51 * 10**-digits)
