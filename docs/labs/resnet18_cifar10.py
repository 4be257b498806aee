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
# # Lab 4: ResNet-18 on CIFAR-10, int8 and pruning layer by layer
#
# python scripts/labs/long_training.py --net resnet18 --data CIFAR --folder RUN       hours: the weights
# python scripts/labs/resnet18_cifar10.py --weights RUN/weights.pt                    the whole lab
# python scripts/labs/resnet18_cifar10.py --quick                                     on a narrow net trained here

# %%
import sys

sys.path.insert(0, "../../scripts/labs")

import resnet18_cifar10
from notebook_cells import begin_notebook, run_and_show

lab = begin_notebook(resnet18_cifar10.LAB)

# %% [markdown]
# ## 1. Float32 against static int8
#
# Size, accuracy and time of both in both runtimes; ranges from 256 training images.

# %%
run_and_show(resnet18_cifar10.static_int8, lab)

# %% [markdown]
# ## 2. Each layer alone, 90 % of its weights pruned
#
# The smallest weights of one layer at a time become zero (L1, unstructured, nothing retrained).

# %%
run_and_show(resnet18_cifar10.each_layer_pruned, lab)

# %% [markdown]
# ## 3. The largest percentage within two points
#
# Binary search for the largest whole percentage of pruned weights that costs at most two points, in all linear layers
# (this net has one) and in all convolutions.

# %%
run_and_show(resnet18_cifar10.largest_percentage, lab)

# %% [markdown]
# ## Every answer

# %%
print(lab.report.write().with_name("report.md").read_text())
