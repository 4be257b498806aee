"""Models by name: the zoo of this project, torchvision, timm, and the caller's own file.

    cifar_resnet20 | lenet | digits_cnn | vgg_cifar ...      the zoo
    torchvision/resnet18, timm/resnet18                      architectures only: nothing is ever downloaded
    ultralytics/yolov8n                                      architecture only, if the caller installed that package
    hf/FOLDER                                                a folder written by transformers' save_pretrained
    path/file.py:factory                                     the caller's: see :mod:`fxpasses.models.users.user_model`

Without weights a model has random ones from the seed and is settled (:mod:`fxpasses.models.training.settle`), so that
errors of passes and quantization can be noticed.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from fxpasses.callers_code import told_as_the_callers
from fxpasses.errors import InputError

from .blueprint import Blueprint, unknown_name
from .loaded_model import LoadedModel, example_batch
from .model_input import IMAGENET, UNIT_RANGE, InputShape
from .nets.cifar_mobilenet_v2 import cifar_mobilenet_v2
from .nets.cifar_resnet import CifarResNet
from .nets.cifar_resnet18 import CIFAR_STATISTICS, CifarResNet18
from .nets.digits_cnn import DigitsCnn
from .nets.lenet import LeNet
from .nets.text_bag import TOKENS, VOCABULARY, TextBag
from .nets.vgg_cifar import VGG16_HALF, VggCifar
from .training.settle import settle
from .users.user_code import file_of, is_user_code
from .weights.load import load_weights

# Number of values per channel from which statistics are measured if a net shrinks its input to 1/32: that of 2 images
# of 224x224.
SETTLING_VALUES = 98
STRIDE = 32
ONNX_ENDING = ".onnx"
OTHER_MODELS = "torchvision/NAME, timm/NAME, ultralytics/NAME, hf/FOLDER, FILE.pt2 or path/file.py:factory"


CIFAR_SHAPE = (3, 32, 32)
ZOO: dict[str, Blueprint] = {
    "cifar_resnet20": Blueprint(lambda: CifarResNet(20), CIFAR_SHAPE, IMAGENET),
    "cifar_resnet32": Blueprint(lambda: CifarResNet(32), CIFAR_SHAPE, IMAGENET),
    "cifar_resnet44": Blueprint(lambda: CifarResNet(44), CIFAR_SHAPE, IMAGENET),
    "cifar_resnet56": Blueprint(lambda: CifarResNet(56), CIFAR_SHAPE, IMAGENET),
    "cifar_resnet110": Blueprint(lambda: CifarResNet(110), CIFAR_SHAPE, IMAGENET),
    "cifar_resnet18": Blueprint(CifarResNet18, CIFAR_SHAPE, CIFAR_STATISTICS),
    "cifar_mobilenet_v2": Blueprint(cifar_mobilenet_v2, CIFAR_SHAPE, CIFAR_STATISTICS),
    "vgg_cifar": Blueprint(VggCifar, CIFAR_SHAPE, IMAGENET),
    "vgg_cifar_half": Blueprint(lambda: VggCifar(VGG16_HALF), CIFAR_SHAPE, IMAGENET),
    "lenet": Blueprint(LeNet, (1, 28, 28), UNIT_RANGE),
    "digits_cnn": Blueprint(DigitsCnn, (1, 8, 8), UNIT_RANGE),
    "text_bag": Blueprint(TextBag, (TOKENS,), UNIT_RANGE, VOCABULARY),
}


def load_model(
    spec: str,
    weights: Path | None = None,
    seed: int = 0,
    *,
    image_size: int | None = None,
    fresh: bool = False,
    weights_key: str | None = None,
) -> LoadedModel:
    """Load the model that a spec names, in eval mode.

    ``image_size`` replaces the published height and width of torchvision and timm models. ``fresh`` leaves random
    weights as the architecture's author initialises them, for training, instead of settling them. ``weights_key``
    chooses the weights of a checkpoint that holds several. Raises :class:`InputError` for an unknown name, a file that
    cannot be used, or weights that do not fit.
    """
    # Random weights must depend on the seed alone, and the caller's random state must not change.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        blueprint = find_blueprint(spec, image_size)
        module = blueprint.build()
    if is_user_code(spec):
        with told_as_the_callers(f"eval() of {spec} failed", "let it set the mode, and nothing else", file_of(spec)):
            module.eval()
    module.eval()
    if weights is not None:
        load_weights(module, weights, weights_key)
    elif not fresh and not blueprint.pretrained:
        images = settling_batch(blueprint.input_shape)
        settle(module, seed, (example_batch(images, blueprint.input_shape, seed, blueprint.vocabulary),))
    shape, preprocessing = blueprint.input_shape, blueprint.preprocessing
    pretrained = weights is not None or blueprint.pretrained
    return LoadedModel(
        spec, module, shape, preprocessing, pretrained, blueprint.vocabulary, blueprint.examples, blueprint.input_names
    )


def settling_batch(shape: InputShape) -> int:
    """Number of inputs to measure statistics on; smaller images need more."""
    positions = math.prod(math.ceil(size / STRIDE) for size in shape[1:])
    return max(2, math.ceil(SETTLING_VALUES / positions))


def find_blueprint(spec: str, image_size: int | None = None) -> Blueprint:
    """Return the blueprint that the spec names; nothing is built yet, except by the caller's own factory."""
    if is_user_code(spec):
        from .users.user_model import user_blueprint

        return user_blueprint(spec)
    source, slash, name = spec.partition("/")
    if slash and source == "torchvision":
        from .zoos.torchvision_zoo import torchvision_blueprint

        return torchvision_blueprint(name, image_size)
    if slash and source == "timm":
        from .zoos.timm_zoo import timm_blueprint

        return timm_blueprint(name, image_size)
    if slash and source == "ultralytics":
        from .zoos.ultralytics_zoo import ultralytics_blueprint

        return ultralytics_blueprint(name, image_size)
    if slash and source == "hf":
        from .zoos.hugging_face_zoo import hugging_face_blueprint

        return hugging_face_blueprint(name, image_size)
    if spec.endswith(ONNX_ENDING):
        raise onnx_refused(spec)
    if spec in ZOO:
        return ZOO[spec]
    raise unknown_name("model", spec, ZOO, also=OTHER_MODELS)


def onnx_refused(spec: str) -> InputError:
    """Error for an ONNX file, which is not a model to start from."""
    return InputError(
        f"cannot start from the ONNX file {spec}",
        why="it says what is computed, not by which layers: translators back to PyTorch guess these, and none is "
        "checked against every operator, so that another function could come out unnoticed",
        fix="give the PyTorch model it was exported from, as path/file.py:factory; fxpasses audit reads the file",
    )
