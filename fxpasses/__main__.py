"""``python -m fxpasses`` is the command ``fxpasses``."""

from fxpasses.cli import main

if __name__ == "__main__":
    main()
