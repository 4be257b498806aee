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
# # Lab 3: MNIST and SST-2 in float32, float16 and int8
#
#     python scripts/labs/mnist_sst2.py --quick --out labs/mnist_sst2
#
# Two hidden layers of 1024 units read the middle 20x20 pixels of MNIST; two of 512 the counts of 5000 words of SST-2.
# Adam at 0.001, batches of 64, two epochs. Then the linear mapping by hand, dynamic float16 and int8, static int8,
# times over hidden sizes and batches, and what each layer costs alone and all others without it.

# %%
import sys

sys.path.insert(0, "../../scripts/labs")

import mnist_sst2
from notebook_cells import begin_notebook, run_and_show

lab = begin_notebook(mnist_sst2.LAB)

# %% [markdown]
# ## 0. The machine
#
# Every time below was measured on it, on one thread.

# %%
run_and_show(mnist_sst2.hardware, lab)

# %% [markdown]
# ## 1. The float models
#
# Two epochs each, then accuracy on the held-out data, parameters, the size of the saved weights, and FLOPs.

# %%
run_and_show(mnist_sst2.float_models, lab)

# %% [markdown]
# ## 2. The linear mapping by hand
#
# The 4x3 tensor to two bits and back, then to eight, and the same by the toolkit's own functions.

# %%
run_and_show(mnist_sst2.mapping_by_hand, lab)

# %% [markdown]
# ## 2. A linear layer by hand in place of nn.Linear
#
# Every layer of both nets replaced; accuracy, and how far its logits are from float and from torch's own int8.

# %%
run_and_show(mnist_sst2.layer_by_hand, lab)

# %% [markdown]
# ## 3. and 4. Float16, dynamic int8 and static int8
#
# Size of the file, accuracy, and the time of a call at batch 1 and 64: mean and standard deviation over five runs,
# the first of six left out. Sizes of PyTorch are those of the .pt2 file, of onnxruntime those of the ONNX file.

# %%
run_and_show(mnist_sst2.forms_of_each_model, lab)

# %% [markdown]
# ## 5. Times over hidden sizes and batch sizes
#
# Two hidden layers of each width between 400 inputs and 10 classes, weights at random, in every form and runtime.

# %%
run_and_show(mnist_sst2.benchmark_of_widths, lab)

# %% [markdown]
# ## 7. One layer in int8 at a time, and all but one
#
# SQNR of the logits, and accuracy, with each layer alone in int8 and with each layer alone left in float.

# %%
run_and_show(mnist_sst2.one_layer_at_a_time, lab)

# %% [markdown]
# ## 8. Training with bfloat16 products
#
# One epoch of MNIST in float32 and one under autocast: seconds, and accuracy.

# %%
run_and_show(mnist_sst2.mixed_precision_training, lab)

# %% [markdown]
# ## 6. Accuracy, FLOPs and time over depth, width and input size
#
# Nets for MNIST that differ in one thing from two hidden layers of 256 units on 20x20 pixels, an epoch each.

# %%
run_and_show(mnist_sst2.shapes_of_nets, lab)

# %% [markdown]
# ## Every answer

# %%
print(lab.report.write().with_name("report.md").read_text())
