"""Read programs of ``torch.export`` from checked records: nothing in a file is compiled or evaluated."""
