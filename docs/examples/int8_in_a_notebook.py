# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a torchvision model to an int8 file
#
# This notebook takes a classifier of torchvision, quantizes it, checks that PyTorch and onnxruntime compute the same
# integers, and measures what was gained. Nothing is downloaded: the weights are random and the images are made here,
# so accuracy says nothing. Put your own weights and images in the first two cells; the rest stays as it is.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torchvision
from torch.utils.data import DataLoader, TensorDataset

import fxpasses as fx

torch.manual_seed(0)
model = torchvision.models.resnet18(weights=None).eval()

# %% [markdown]
# ## Images
#
# A DataLoader of images and labels, as for training. Calibration leaves the labels out. A hundred images or more do
# well; 32 small ones keep this notebook short.

# %%
coarse = torch.randn(32, 3, 8, 8)
images = torch.nn.functional.interpolate(coarse, size=64, mode="bicubic")  # smooth, as photographs are
loader = DataLoader(TensorDataset(images, torch.zeros(32, dtype=torch.long)), batch_size=8)
example_inputs = images[:2]

# %% [markdown]
# ## Statistics of BatchNorm
#
# Random weights come with BatchNorms that have seen no data. Two batches in training mode give them statistics. Leave
# this cell out for a trained model.

# %%
model.train()
with torch.no_grad():
    for batch, _ in loader:
        model(batch)
model.eval()

# %% [markdown]
# ## Quantize
#
# One call captures the model, folds BatchNorms, calibrates and converts. The result is a graph that runs anywhere
# PyTorch does. Files and modules with int8 kernels are made from it.

# %%
int8 = fx.quantize(model, example_inputs, loader)
fx.export.to_onnx(int8, "resnet18.int8.onnx")
fx.export.save(int8, "resnet18.int8.pt2")
fast = fx.export.to_torch(int8)

# %% [markdown]
# ## The same integers in both runtimes

# %%
print(fx.export.parity(int8, loader, onnx_path="resnet18.int8.onnx"))

# %% [markdown]
# The audit says what onnxruntime computes in int8 once it has loaded the file.

# %%
print(fx.export.audit("resnet18.int8.onnx"))

# %% [markdown]
# ## How far int8 is from float
#
# Each point is one logit of one image. Points on the diagonal are equal.

# %%
with torch.no_grad():
    float_logits, int8_logits = model(images), fast(images)
noise = float_logits - int8_logits
decibels = 10 * torch.log10(float_logits.var() / noise.var())

figure, axis = plt.subplots(figsize=(5, 5))
axis.scatter(float_logits.flatten(), int8_logits.flatten(), s=2)
axis.axline((0, 0), slope=1, color="black", linewidth=0.8)
axis.set(xlabel="float32", ylabel="int8", title=f"logits: signal to noise {decibels:.0f} dB")
plt.show()

# %% [markdown]
# ## What an int8 weight looks like
#
# The weights of one layer as integers. Each output channel has a scale of its own, so that every channel uses the
# range.

# %%
weights = [t for t in int8.buffers() if t.dtype == torch.int8 and t.dim() == 4]
figure, axis = plt.subplots(figsize=(6, 3))
axis.hist(weights[5].flatten().numpy(), bins=range(-128, 129, 2))
axis.set(xlabel="integer", ylabel="weights", title=f"a layer of {list(weights[5].shape)}")
plt.show()

# %% [markdown]
# ## Latency and size
#
# The models take turns, so that a machine that slows down slows all of them.
# The times below are of a busy machine: run the cell on yours.

# %%
fx.export.to_onnx(fx.fuse(fx.capture(model, example_inputs)), "resnet18.fp32.onnx")
subjects = {
    "float, PyTorch": model,
    "int8, PyTorch": int8,
    "float, onnxruntime": "resnet18.fp32.onnx",
    "int8, onnxruntime": "resnet18.int8.onnx",
}
times = fx.export.bench(subjects, example_inputs[:1], runs=20, max_seconds=10)
print(times)

# %%
medians = [times.latency(name)[0]["p50_ms"] for name in subjects]
figure, axis = plt.subplots(figsize=(6, 2.5))
axis.barh(list(subjects), medians)
axis.invert_yaxis()
axis.set(xlabel="milliseconds, batch 1, one thread")
plt.show()

# %%
for name in ("resnet18.fp32.onnx", "resnet18.int8.onnx", "resnet18.int8.pt2"):
    print(f"{name:<20} {Path(name).stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# ## Use the file
#
# `fx.load` opens what was written: the `.pt2` file as a graph, the `.onnx` file in onnxruntime.

# %%
again = fx.load("resnet18.int8.onnx")
assert torch.equal(again(images[:1]), fast(images[:1]))
