"""A run of training: loop, losses, optimizers, checkpoints, several processes."""
