"""Parts of ``bench_cuda.py``: measurements on a GPU, their order, and the runtimes to compare with."""
