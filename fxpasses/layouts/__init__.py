"""Description of a deployed model, and folders in the layouts of Triton, MLflow and Optimum."""
