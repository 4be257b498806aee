"""The folder that a command leaves: its files, its report, and how they are opened again."""
