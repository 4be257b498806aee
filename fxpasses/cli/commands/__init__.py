"""The commands of ``fxpasses``, one file for each: its options, and the calls that carry it out."""
