"""A quantized detector as one file: its graphs, and the settings of its float steps; nothing in a file is run."""
