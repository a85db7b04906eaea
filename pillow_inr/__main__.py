"""`python -m pillow_inr` is `pillow-inr`."""

from .cli.commands import main

if __name__ == "__main__":
    main(prog_name="python -m pillow_inr")
