"""Train, fine-tune, evaluate, and settle random weights."""
