"""The commands of ``fxpasses``, a file each: options, and what is done with them."""
