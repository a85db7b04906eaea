"""Where a decoder finds the initialization that a file names, and what the option `init` stands for."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...errors import MissingInitializationError
from ...options import EncodeOptions
from .initialization import Initialization, load

# Folders, separated as in PATH, whose .npz files may be initializations.
FOLDERS_VARIABLE = "PILLOW_INR_INITS"

# Those that the process was given, by identity; a dict's own operations are atomic.
_registered: dict[bytes, Initialization] = {}


def register(source: str | os.PathLike[str] | Initialization) -> Initialization:
    """Make files readable in this process whose weights are differences from this initialization.

    Raises:
        OSError, ValueError: as `load`.
    """
    initialization = source if isinstance(source, Initialization) else load(source)
    _registered[initialization.identity] = initialization
    return initialization


def find(identity: bytes) -> Initialization:
    """The initialization of this identity: registered, or in a folder of the environment variable.

    Raises:
        MissingInitializationError: there is none; the message says how to give it.
    """
    known = _registered.get(identity)
    if known is not None:
        return known
    for path in _files():
        try:
            initialization = load(path)
        except (OSError, ValueError):
            continue  # any .npz may lie in a user's folder
        if initialization.identity == identity:
            return register(initialization)
    raise MissingInitializationError(
        f"the file's weights are differences from the initialization {identity.hex()}, which is not known here: give "
        f"its .npz file to pillow_inr.register_initialization or 'pillow-inr decode --init', or put it into a folder "
        f"named by the environment variable {FOLDERS_VARIABLE}"
    )


def _files() -> Iterator[Path]:
    for folder in filter(None, os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)):
        yield from sorted(Path(folder).glob("*.npz"))


def resolved(options: EncodeOptions) -> EncodeOptions:
    """Replace the path in the option `init` by the initialization, and register it: the encoder decodes its own files.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an initialization, or the other options ask for another network.
    """
    if options.init is None:
        return options
    if not isinstance(options.init, str | os.PathLike | Initialization):
        raise ValueError(f"init must be an Initialization or the path of one, got {options.init!r}")
    init = register(options.init)
    learned = init.architecture
    for name, value in (("width", learned.width), ("depth", learned.depth)):
        asked = getattr(options, name)
        if asked not in (None, value):
            raise ValueError(f"{name} is {asked}, but the initialization is for a network of {name} {value}")
    if options.encoding == "none" and learned.frequencies:
        raise ValueError("encoding is 'none', but the initialization is for 'fourier'")
    return replace(options, init=init)
