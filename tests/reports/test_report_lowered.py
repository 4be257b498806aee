"""Report entries of a LOWERED graph, and the sentence on speed."""

from __future__ import annotations

from lowered_nets import mixed
from stub_runners import latency_entry, sample_variant

from fxpasses.precision.weight_only import to_weight_only
from fxpasses.reports.lowered import lowered_account, slower_than_float


def test_layers_by_precision() -> None:
    found = lowered_account(to_weight_only(mixed()), "int4")
    layers = {layer["node"]: layer for layer in found["layers"]}
    assert (layers["first"]["precision"], layers["first"]["weights"]) == ("int4", 45 * 37)
    assert layers["first"]["operator"] == "linear"
    assert (layers["conv"]["precision"], layers["conv"]["weights"]) == ("float", 5 * 3 * 9)
    assert "a convolution" in layers["conv"]["why"]
    assert found["passes"][-1]["changed"]


def test_slower_beyond_noise_is_told() -> None:
    slow = latency_entry(2.0, speedup_vs_fp32=0.5, speedup_quartiles=[0.4, 0.6])
    noise = latency_entry(2.0, speedup_vs_fp32=0.98, speedup_quartiles=[0.9, 1.1])
    variants = [sample_variant("torch", "fp16", latency=[slow, noise]), sample_variant("torch", "fp32")]
    assert slower_than_float(variants, "because.") == [
        "torch fp16 takes 2.00 times as long as fp32 on this CPU (batch 1, 1 thread): because."
    ]
