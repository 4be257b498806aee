"""A model as it is deployed, and the folders in which Triton, MLflow and Optimum look for one."""
