"""The command `pillow-inr`; a file for each of its commands."""

from .commands import main

__all__ = ["main"]
