"""The table of models. A model is a folder and a line here.

The folder has `header` (reads the model's header fields), `model` (opens files) and `encoder` (writes them); `reader`
imports each when it is needed. Options and the command line take the names from here, so this module imports nothing of
the package.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    """A model that files may hold."""

    number: int
    """The model's number in the header of a file."""
    name: str
    """The value of the option `model`."""
    package: str
    """Import path of the model's folder."""
    own_options: tuple[str, ...] = ()
    """Options of an encode that no other model has: giving one chooses this model."""


MODELS = [
    Entry(0, "siren", "pillow_inr.models.siren", own_options=("width", "depth", "encoding", "init")),
    Entry(1, "pyramid", "pillow_inr.models.pyramid"),
]
AUTO = "auto"
"""The value of the option `model` that lets the image decide (`selection`)."""


def model_names() -> tuple[str, ...]:
    """The values of the option `model`."""
    return (AUTO, *(entry.name for entry in MODELS))
