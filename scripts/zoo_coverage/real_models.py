"""Real models other than image classifiers: detectors, segmenters, video, text and audio, with random weights.

Nothing is downloaded: every model is built from its configuration, in the smallest published size or a smaller one, and
BatchNorm statistics are settled. One line installs the packages of all zoos:

    pip install transformers segmentation-models-pytorch ultralytics

A detector of torchvision is represented by its backbone and heads, the parts that run in int8, without boxes and NMS.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fxpasses.models.training.settle import settle
from fxpasses.models.zoo import load_model

SEED, MEASURED = 0, 8
"""Seed of everything random, and the number of samples from which BatchNorm statistics are measured."""
Inputs = tuple[Tensor, ...]


@dataclass(frozen=True)
class ZooModel:
    """A model in eval mode and the function that makes its inputs."""

    module: nn.Module
    make_inputs: Callable[[int], Inputs]

    def example_inputs(self, batch: int = 2) -> Inputs:
        """Make inputs of that many samples."""
        return self.make_inputs(batch)


def images(*shape: int) -> Callable[[int], Inputs]:
    """Make smooth images with noise, which resemble real ones."""

    def make(batch: int) -> Inputs:
        generator = torch.Generator().manual_seed(SEED)
        coarse = torch.randn(batch, shape[0], *(max(1, s // 8) for s in shape[1:]), generator=generator)
        mode = "trilinear" if len(shape) == 4 else "bilinear"
        smooth = nn.functional.interpolate(coarse, size=shape[1:], mode=mode)
        return (smooth + 0.1 * torch.randn(batch, *shape, generator=generator),)

    return make


def tokens(vocabulary: int, length: int = 32) -> Callable[[int], Inputs]:
    """Make random words."""
    return lambda batch: (torch.randint(vocabulary, (batch, length), generator=torch.Generator().manual_seed(SEED)),)


def waves(samples: int = 4000) -> Callable[[int], Inputs]:
    """Make tones with noise."""

    def make(batch: int) -> Inputs:
        generator = torch.Generator().manual_seed(SEED)
        pitch = 0.02 + 0.2 * torch.rand(batch, 1, generator=generator)
        return (torch.sin(pitch * torch.arange(samples)) + 0.1 * torch.randn(batch, samples, generator=generator),)

    return make


class Heads(nn.Module):
    """Backbone and heads of a torchvision detector, without anchors, boxes and NMS."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.backbone: nn.Module = detector.backbone
        self.head: nn.Module = detector.rpn.head if hasattr(detector, "rpn") else detector.head

    def forward(self, x: Tensor) -> Any:
        features = self.backbone(x)
        return self.head(list(features.values()) if isinstance(features, dict) else [features])


class OneOutput(nn.Module):
    """A Hugging Face model, called by the name of its input, that returns its first output."""

    def __init__(self, model: nn.Module, argument: str) -> None:
        super().__init__()
        self.model, self.argument = model, argument

    def forward(self, x: Tensor) -> Any:
        return self.model(**{self.argument: x}, return_dict=False)[0]


def open_zoo_model(spec: str) -> ZooModel:
    """Open a model by ``ZOO/NAME``, one of :func:`zoo_specs`.

    Raises:
        KeyError: there is no such model.
    """
    zoo, _, name = spec.partition("/")
    torch.manual_seed(SEED)
    module, make_inputs = ZOOS[zoo][name]()
    module = module.eval().requires_grad_(False)
    if zoo in SETTLED:
        module = settle(module)
    elif any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
        # With the statistics they begin with, signals of untrained weights shrink to nothing from layer to layer.
        module = settle(module, SEED, make_inputs(MEASURED))
    return ZooModel(module, make_inputs)


def zoo_specs(zoos: list[str]) -> list[str]:
    """Specs of all models of these zoos."""
    return [f"{zoo}/{name}" for zoo in zoos for name in ZOOS[zoo]]


Made = tuple[nn.Module, Callable[[int], Inputs]]


def _torchvision(kind: str, name: str, *shape: int) -> Made:
    import torchvision

    options: dict[str, Any] = {"weights": None}
    if kind != "video":
        options["weights_backbone"] = None
    model = getattr(getattr(torchvision.models, kind), name)(**options)
    return (Heads(model) if kind == "detection" else model), images(*shape)


def _ultralytics(name: str, size: int) -> Made:
    return load_model(f"ultralytics/{name}", image_size=size).module, images(3, size, size)


def _smp(name: str, encoder: str) -> Made:
    import segmentation_models_pytorch as smp

    size = 224 if name == "DPT" else 128
    return getattr(smp, name)(encoder, encoder_weights=None, classes=3), images(3, size, size)


def _hf(kind: str, make_inputs: Callable[[int], Inputs], argument: str, **smaller: Any) -> Made:
    import transformers

    model_class = getattr(transformers, kind)
    config = model_class.config_class(**smaller)
    config._attn_implementation = "eager"
    return OneOutput(model_class(config), argument), make_inputs


_SMALL_TEXT: dict[str, Any] = {
    "vocab_size": 500, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
}  # fmt: skip
_SMALL_VISION: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "image_size": 64,
    "patch_size": 16,
}  # fmt: skip
_SMALL_AUDIO: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, "conv_dim": (64, 64, 64),
    "conv_stride": (5, 4, 4), "conv_kernel": (10, 8, 4), "num_feat_extract_layers": 3,
}  # fmt: skip


def _text(kind: str, **changes: Any) -> Callable[[], Made]:
    return functools.partial(_hf, kind, tokens(500), "input_ids", **{**_SMALL_TEXT, **changes})


def _vision(kind: str, size: int = 64, **changes: Any) -> Callable[[], Made]:
    return functools.partial(_hf, kind, images(3, size, size), "pixel_values", **changes)


_HF: dict[str, Callable[[], Made]] = {
    "bert": _text("BertForSequenceClassification"),
    "roberta": _text("RobertaForSequenceClassification", max_position_embeddings=64),
    "distilbert": functools.partial(
        _hf, "DistilBertForSequenceClassification", tokens(500), "input_ids",
        vocab_size=500, dim=64, n_layers=2, n_heads=4, hidden_dim=128,
    ),
    "albert": _text("AlbertForSequenceClassification", embedding_size=32),
    "electra": _text("ElectraForSequenceClassification", embedding_size=64),
    "mobilebert": _text(
        "MobileBertForSequenceClassification", embedding_size=32, intra_bottleneck_size=32, true_hidden_size=32
    ),
    "squeezebert": _text("SqueezeBertForSequenceClassification", embedding_size=64),
    "camembert": _text("CamembertForTokenClassification", max_position_embeddings=64),
    "vit": _vision("ViTForImageClassification", **_SMALL_VISION),
    "deit": _vision("DeiTForImageClassification", **_SMALL_VISION),
    "beit": _vision("BeitForImageClassification", **_SMALL_VISION),
    "dinov2": _vision("Dinov2ForImageClassification", **{**_SMALL_VISION, "image_size": 70, "patch_size": 14}, size=70),
    "clip-vision": _vision("CLIPVisionModelWithProjection", **_SMALL_VISION),
    "swin": _vision(
        "SwinForImageClassification", image_size=64, embed_dim=32, depths=(2, 2), num_heads=(2, 4), window_size=4
    ),
    "resnet": _vision("ResNetForImageClassification", embedding_size=16, hidden_sizes=(16, 32), depths=(1, 1)),
    "convnext": _vision("ConvNextForImageClassification", hidden_sizes=(16, 32, 48, 64), depths=(1, 1, 1, 1)),
    "convnextv2": _vision("ConvNextV2ForImageClassification", hidden_sizes=(16, 32, 48, 64), depths=(1, 1, 1, 1)),
    "regnet": _vision(
        "RegNetForImageClassification", embedding_size=16, hidden_sizes=(16, 32), depths=(1, 1), groups_width=8
    ),
    "mobilenet-v1": _vision("MobileNetV1ForImageClassification", depth_multiplier=0.25),
    "mobilenet-v2": _vision("MobileNetV2ForImageClassification", depth_multiplier=0.35),
    "mobilevit": _vision("MobileViTForImageClassification", image_size=64, hidden_sizes=(32, 48, 64)),
    "poolformer": _vision("PoolFormerForImageClassification", hidden_sizes=(16, 32, 48, 64), depths=(1, 1, 1, 1)),
    "segformer": _vision(
        "SegformerForSemanticSegmentation", hidden_sizes=(16, 32, 48, 64), depths=(1, 1, 1, 1), decoder_hidden_size=32
    ),
    "dpt": _vision("DPTForDepthEstimation", **{**_SMALL_VISION, "num_hidden_layers": 4},
                   backbone_out_indices=(0, 1, 2, 3), neck_hidden_sizes=(16, 32, 48, 64), fusion_hidden_size=32),
    "yolos": _vision("YolosForObjectDetection", **{**_SMALL_VISION, "image_size": [64, 64]}, num_detection_tokens=10),
    "wav2vec2": functools.partial(_hf, "Wav2Vec2ForCTC", waves(), "input_values", **_SMALL_AUDIO),
    "hubert": functools.partial(_hf, "HubertForCTC", waves(), "input_values", **_SMALL_AUDIO),
    "ast": functools.partial(
        _hf, "ASTForAudioClassification", lambda n: (images(1, 64, 32)(n)[0][:, 0],), "input_values",
        **{k: v for k, v in _SMALL_VISION.items() if k != "image_size"}, max_length=64, num_mel_bins=32,
    ),
    "whisper-encoder": functools.partial(
        _hf, "WhisperForAudioClassification", lambda n: (images(1, 80, 128)(n)[0][:, 0],), "input_features",
        d_model=64, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=128, max_source_positions=64,
        vocab_size=500, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    ),
}  # fmt: skip

ZOOS: dict[str, dict[str, Callable[[], Made]]] = {
    "ultralytics": {
        name: functools.partial(_ultralytics, name, 128)
        for name in (
            "yolov8n", "yolov8n-seg", "yolov8n-pose", "yolov8n-obb", "yolov8n-cls", "yolo11n", "yolo11n-seg",
            "yolo11n-pose", "yolo11n-obb", "yolo11n-cls", "yolov5n", "yolov9t", "yolov10n", "yolo12n",
        )
    },
    "smp": {
        f"{name}-{encoder}": functools.partial(_smp, name, encoder)
        for name, encoder in (
            ("Unet", "resnet18"), ("Unet", "mobilenet_v2"), ("UnetPlusPlus", "resnet18"), ("MAnet", "resnet18"),
            ("Linknet", "resnet18"), ("FPN", "resnet18"), ("PSPNet", "resnet18"), ("PAN", "resnet18"),
            ("DeepLabV3", "resnet18"), ("DeepLabV3Plus", "mobilenet_v2"), ("UPerNet", "resnet18"),
            ("Segformer", "resnet18"),
        )
    },
    "hf": _HF,
    "torchvision-segmentation": {
        name: functools.partial(_torchvision, "segmentation", name, 3, 96, 96)
        for name in (
            "fcn_resnet50", "fcn_resnet101", "deeplabv3_resnet50", "deeplabv3_resnet101",
            "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large",
        )
    },
    "torchvision-video": {
        name: functools.partial(_torchvision, "video", name, 3, frames, size, size)
        for name, frames, size in (
            ("r3d_18", 8, 56), ("mc3_18", 8, 56), ("r2plus1d_18", 8, 56), ("s3d", 16, 224), ("mvit_v2_s", 16, 224),
            ("swin3d_t", 8, 64),
        )
    },
    "torchvision-detection": {
        name: functools.partial(_torchvision, "detection", name, 3, size, size)
        for name, size in (
            ("ssd300_vgg16", 300), ("ssdlite320_mobilenet_v3_large", 160), ("retinanet_resnet50_fpn", 128),
            ("retinanet_resnet50_fpn_v2", 128), ("fcos_resnet50_fpn", 128), ("fasterrcnn_resnet50_fpn", 128),
            ("fasterrcnn_mobilenet_v3_large_fpn", 128), ("maskrcnn_resnet50_fpn", 128),
        )
    },
}  # fmt: skip
"""Models by zoo and name; none is built before it is called."""

SETTLED = frozenset(ZOOS) - {"hf"}
"""Zoos of nets with BatchNorms. Most transformers have none, and their own initialization."""
