"""The benchmark matrix: runtimes, precisions, dense and pruned models at every setting, and verdicts with intervals."""
