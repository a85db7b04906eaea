"""Tells PyInstaller, which finds this package by its entry point, where the hook for pillow_inr lies."""

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Folders with hooks (PyInstaller's name for the function)."""
    return [str(Path(__file__).parent)]
