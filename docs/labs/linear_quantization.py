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
# # Lab 1: linear quantization by hand, and pruning
#
#     python scripts/labs/linear_quantization.py --quick
#     python scripts/labs/long_training.py --net vgg --data CIFAR --folder RUN        hours: the VGG's weights
#     python scripts/labs/linear_quantization.py --weights RUN/weights.pt
#
# LeNet (MNIST) and a keyword net (spoken digits) become integers by hand: weights, activations, biases, and shifts in
# place of divisions. The integers of the toolkit run the same way and equal its exact reference bit for bit. The VGG
# (CIFAR-10) loses single weights and whole channels.

# %%
import sys

sys.path.insert(0, "../../scripts/labs")

import linear_quantization
from notebook_cells import begin_notebook, run_and_show

lab = begin_notebook(linear_quantization.LAB)

# %% [markdown]
# ## 1. Ranges of weights and activations
#
# For each layer: smallest and largest weight, three deviations, and the range of what it gives on training inputs.

# %%
run_and_show(linear_quantization.histograms, lab)

# %% [markdown]
# ## 2. One part after the other to eight bits
#
# Accuracy in float, then with weights, with activations too, with biases too; one scale for a tensor.

# %%
run_and_show(linear_quantization.part_by_part, lab)

# %% [markdown]
# ## 3. Integers alone
#
# int32 sums and a shift in place of every division: once by 16 bits, rounding down, once to nearest with a multiplier
# of 31 bits. How many predictions equal float's, how far logits are, and how large the net is.

# %%
run_and_show(linear_quantization.integers_alone, lab)

# %% [markdown]
# ## 4. The toolkit's int8 nets by hand
#
# The integers of ``fx.quantize`` run in numpy by shifts alone, against the exact reference of the toolkit: how many
# integers of any tensor differ, and how many logits in any bit.

# %%
run_and_show(linear_quantization.equal_to_the_toolkit, lab)

# %% [markdown]
# ## 5. Accuracy against bits, without training
#
# Weights and activations of 2 to 8 bits by hand, and weights of 2 to 8 bits by the toolkit (activations of 8).

# %%
run_and_show(linear_quantization.fewer_bits, lab)

# %% [markdown]
# ## 6. The VGG before pruning
#
# Accuracy, size of its weights in float32, parameters, multiply-accumulates; histograms of weights by layer.

# %%
run_and_show(linear_quantization.dense_vgg, lab)

# %% [markdown]
# ## 7. Sensitivity of each layer to pruning of single weights
#
# Every layer alone at 40 to 90 %: does accuracy fall with the share, do layers react alike, which one most?

# %%
run_and_show(linear_quantization.sensitivity_scan, lab)

# %% [markdown]
# ## 8. Single weights pruned to a quarter of the size
#
# A share for each layer from its own curve, then fine-tuning with the zeros kept.

# %%
run_and_show(linear_quantization.fine_grained_pruning, lab)

# %% [markdown]
# ## 9. Whole channels pruned
#
# 30 % of the channels of each convolution but the last: the last ones of each, then those that the next convolution
# reads least; fine-tuned, and compared in accuracy, multiply-accumulates, parameters and time.

# %%
run_and_show(linear_quantization.channel_pruning, lab)

# %% [markdown]
# ## 10. Accuracy against bits, with training
#
# Weights and activations of 2 to 8 bits, trained with the rounding in place from the float nets; beside it the same
# bits by hand without training.

# %%
run_and_show(linear_quantization.bits_after_training, lab)

# %% [markdown]
# ## Every answer

# %%
print(lab.report.write().with_name("report.md").read_text())
