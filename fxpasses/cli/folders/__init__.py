"""The folder that a command writes: its files, its report, and how they are opened again."""
