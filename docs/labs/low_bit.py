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
# # Lab 5: few bits, binary networks and MicroNet scores
#
#     python scripts/labs/low_bit.py --quick
#     python scripts/labs/low_bit.py          hours; a run that was stopped goes on from the checkpoints in --out
#
# CIFAR-10 was no task of the MicroNet challenge: scores are relative to its CIFAR-100 base, a convention of this
# project.

# %%
import sys

sys.path.insert(0, "../../scripts/labs")

import low_bit
from notebook_cells import begin_notebook, run_and_show

lab = begin_notebook(low_bit.LAB)

# %% [markdown]
# ## 1. Float and half precision
#
# A network trained on MiniCIFAR with shifts and mirrors, and the same after ``.half()``: accuracy and size.

# %%
run_and_show(low_bit.float_and_half, lab)

# %% [markdown]
# ## 2. Overwritten weights
#
# Each weight replaced by the nearest that few bits hold, as floats still: what it costs before any integer kernel.

# %%
run_and_show(low_bit.overwritten_weights, lab)

# %% [markdown]
# ## 3. Static quantization
#
# int8 weights and activations after calibration on training images.

# %%
run_and_show(low_bit.static_int8, lab)

# %% [markdown]
# ## 4. BinaryConnect against its float twin
#
# On MiniCIFAR: the course's class, and with the steps of the paper's code.

# %%
run_and_show(low_bit.binary_connect, lab)

# %% [markdown]
# ## 5. Binary networks on CIFAR-10
#
# One form as float, BinaryConnect, BWN and TWN; XNOR-Net's blocks; Bi-Real Net's. Each trained as long.

# %%
run_and_show(low_bit.binary_on_cifar10, lab)

# %% [markdown]
# ## 6. Accuracy against size
#
# BinaryConnect at several widths beside the networks of the section before.

# %%
run_and_show(low_bit.accuracy_against_size, lab)

# %% [markdown]
# ## Every answer

# %%
print(lab.report.write().with_name("report.md").read_text())
