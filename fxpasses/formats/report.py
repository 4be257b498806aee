"""Format of ``report.json``, for the parts that this package reads."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from .report_made import Audit, Integers, Layer, Macs, OutputPart, PassLog, Placement, Repairs
from .report_pruning import PruningAccount
from .values import Amount, Count, Name, Part, Percent, Positive, Real, Seed, Sha256, Share, Text

MOST_VALUES = 1 << 31


class Environment(Part):
    """The machine and the software of the measurements."""

    cpu: Name | None
    flags: list[Name] | None
    ram: Name | None
    gpu: Name | None
    versions: dict[Name, Name | None] | None
    threads: Positive | None
    os: Name | None = None


class Metric(Part):
    """Value of the requested metric for one variant; ``output`` names the model's output."""

    name: Name
    title: Name
    value: Real
    unit: Literal["%", "dB", ""]
    falls: bool
    output: Name


class Accuracy(Part):
    """Accuracy of a variant: ``top1`` in percent of ``images``; ``metric`` if another one was requested."""

    top1: Percent | None
    images: Count
    metric: Metric | None = None


class Agreement(Part):
    """Agreement of a variant with the first float variant."""

    top1_agreement: Percent | None
    sqnr_db: Real | None


class Latency(Part):
    """Latency for one batch size and one number of threads."""

    batch: Positive
    threads: Positive
    runs: Count
    mean_ms: Amount
    std_ms: Amount
    p50_ms: Amount
    p90_ms: Amount
    p99_ms: Amount
    items_per_s: Amount
    speedup_vs_fp32: Annotated[float, Field(gt=0, le=1e9)] | None = None
    speedup_quartiles: (
        Annotated[list[Annotated[float, Field(gt=0, le=1e9)]], Field(min_length=2, max_length=2)] | None
    ) = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Latency:
        if (self.speedup_vs_fp32 is None) is not (self.speedup_quartiles is None):
            raise ValueError("speedup_vs_fp32 and speedup_quartiles come together")
        return self


class Variant(Part):
    """One artifact in one runtime."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    runtime: Literal["torch", "onnxruntime"]
    precision: Name
    size_bytes: Count | None
    params: Count | None
    macs: Count | None
    nonzero_params: Count | None = None
    accuracy: Accuracy
    vs_fp32: Agreement
    latency: list[Latency]
    file: Name | None = None


class IntegerAgreement(Part):
    """Agreement of the integers of one tensor, or of all outputs."""

    values: Count
    differing: Count
    max_lsb: Count
    fraction_differing: Share


class NodeAgreement(IntegerAgreement):
    """Agreement of one tensor in one runtime, given equal inputs."""

    node: Name
    runtime: Name


class Parity(Part):
    """Agreement of the two int8 artifacts."""

    images: Count
    top1_agreement: Percent | None
    max_lsb: Count
    fraction_differing: Share
    max_lsb_at_any_node: Count
    first_divergence: Name | None
    node_images: Count = 0
    against_reference: dict[Name, IntegerAgreement] = Field(default_factory=dict)
    nodes: list[NodeAgreement] = Field(default_factory=list)


class Preprocessing(Part):
    """Preprocessing of images, ``(pixel / 255 - mean) / std``, per channel or for all channels."""

    mean: Annotated[list[Real], Field(min_length=1)]
    std: Annotated[list[Annotated[float, Field(gt=0, le=1e9)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _of_equal_length(self) -> Preprocessing:
        if len(self.mean) != len(self.std):
            raise ValueError("mean and std are of different length")
        return self


class ExampleInput(Part):
    """One input of a model with example inputs; random values for it lie between ``low`` and ``high``.

    ``shape`` is without the batch, which is dimension ``batch_dim``.
    """

    name: Name | None
    shape: Annotated[list[Positive], Field(max_length=8)]
    dtype: Literal["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    low: Real
    high: Real
    batch_dim: Annotated[int, Field(ge=0, le=8)] = 0


class ModelDetails(Part):
    """The data needed to load the float model again."""

    spec: Name
    weights: Name | None
    weights_sha256: Sha256 | None
    weights_key: Name | None = None
    seed: Seed
    image_size: Positive | None
    pretrained: bool = False
    input_shape: Annotated[list[Positive], Field(max_length=8)]
    preprocessing: Preprocessing
    vocabulary: Positive | None
    inputs: Annotated[list[ExampleInput], Field(max_length=64)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> ModelDetails:
        values = 1
        for size in self.input_shape:
            values *= size
        if values > MOST_VALUES:
            raise ValueError(f"an input of {values} values is larger than {MOST_VALUES}")
        if len(self.preprocessing.mean) not in (1, *self.input_shape[:1]):
            raise ValueError("preprocessing is for another number of channels than input_shape")
        if (self.weights is None) is not (self.weights_sha256 is None):
            raise ValueError("weights and weights_sha256 come together")
        return self


class DataDetails(Part):
    """The data needed to open the dataset again."""

    spec: Name
    labels: Name | None
    metric: Name | None = None
    calibration_images: Count | None = None
    evaluation_images: Count | None = None
    has_labels: bool | None = None


class RuntimeAgreement(Part):
    """Agreement of float logits of the two runtimes."""

    images: Count
    top1_agreement: Percent | None
    sqnr_db: Real | None
    max_abs_difference: Amount
    max_abs_logit: Amount


class CurvePoint(Part):
    """Means over an epoch of training, or over the part of an epoch in one phase."""

    epoch: Amount
    phase: Literal["open", "frozen"]
    loss: Real
    accuracy: Percent


class Report(Part):
    """Content of ``report.json``: the artifacts, their origin, and every number measured.

    ``deploy`` is the file that holds the whole model, where the variants are only its layers.
    """

    report_version: Positive = 1
    created: Name | None = None
    model: Name
    data: Name | None
    target: Name | None
    method: Name | None = None
    environment: Environment
    variants: list[Variant]
    parity: Parity | None
    runtime_agreement: RuntimeAgreement | None = None
    recipe: dict[Name, Any] | None = None
    qparams_sha256: Sha256 | None = None
    passes: list[PassLog] | None = None
    layers: list[Layer] | None = None
    command: Text | None = None
    model_details: ModelDetails | None = None
    data_details: DataDetails | None = None
    durations: dict[Name, Amount] | None = None
    audit: Audit | None = None
    pruning: PruningAccount | None = None
    repairs: Repairs | None = None
    placement: list[Placement] | None = None
    training: list[CurvePoint] | None = None
    integers: Integers | None = None
    kernels: dict[Name, Name] | None = None
    outputs: list[OutputPart] | None = None
    macs: Macs | None = None
    deploy: Name | None = None
    warnings: list[Text] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_differ(self) -> Report:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ValueError("two variants have one name")
        return self
