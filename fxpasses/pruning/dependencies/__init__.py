"""Which channels of a graph go together: labels of every dimension, and the rule of each operator."""
