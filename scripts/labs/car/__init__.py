"""Lab 2: frames of the driving simulator, and the driving net."""
