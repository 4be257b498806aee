"""Programs of ``torch.export`` read from checked records: nothing from a file is ever compiled or evaluated."""
