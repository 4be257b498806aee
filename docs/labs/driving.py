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
# # Lab 2: a driving net in float32 and int8
#
#     python scripts/labs/driving.py --quick
#     python scripts/labs/driving.py                  the whole net, 302 million weights: hours, and 8 GB of memory
#
# The functions are those of measured_model.py. They answer alike for float and int8 models, where counting by hooks on
# layer classes finds no products in int8 modules, ``module.parameters()`` no weights, and a net prepared without fusing
# keeps its BatchNorms.

# %%
import sys

sys.path.insert(0, "../../scripts/labs")

import driving
from notebook_cells import begin_notebook, run_and_show

lab = begin_notebook(driving.LAB)

# %% [markdown]
# ## 1. The float net
#
# Trained with Adam on mirrored, turned and cropped frames; accuracy on training, validation and test tracks.

# %%
run_and_show(driving.float_net, lab)

# %% [markdown]
# ## 2. Changed pictures
#
# Test frames mirrored (labels with them), upside down, and with the street in another colour.

# %%
run_and_show(driving.changed_pictures, lab)

# %% [markdown]
# ## 3. Float32 and static int8
#
# The four functions on each: accuracy, time of a call, FLOPs of a frame, size of the file.

# %%
run_and_show(driving.float_and_int8, lab)

# %% [markdown]
# ## 4. What usual solutions get wrong
#
# FLOPs and weights of the int8 net over those of the float net (hooks and ``parameters()`` find nearly none), and
# BatchNorms left behind in int8.

# %%
run_and_show(driving.usual_mistakes, lab)

# %% [markdown]
# ## 5. Int8 trained with the rounding in place
#
# The same functions on the float net trained on as int8, and its accuracy beside float and static int8.

# %%
run_and_show(driving.trained_in_int8, lab)

# %% [markdown]
# ## Every answer

# %%
print(lab.report.write().with_name("report.md").read_text())
