"""Subjects that labs measure: a trained net in both runtimes, and the pruning of ResNet-18."""
