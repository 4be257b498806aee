"""Parts of ``bench_cuda.py``: what is measured on a GPU, in which order, and against what."""
