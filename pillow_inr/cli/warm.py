"""`pillow-inr warm`."""

import sys
import time

import click

from ..api import encode
from ..errors import BackendError
from ..runtime import compiled_code, user_cache

# Height, width and channels of images whose fits are compiled.
_IMAGES = {"photographs": (136, 136, 3), "icons": (48, 48, 3), "grey images": (136, 136, 1)}
# Fewest optimizer steps that run everything a fit runs.
_STEPS = 20


@click.command(
    short_help="Compile ahead, so that the first save is quick.",
    epilog="Example: pillow-inr warm",
)
def warm() -> None:
    """Compile what fits of pyramids run, and keep it for later processes.

    Otherwise the first save compiles, and takes longer. The compiled code stays in your cache folder, and serves until
    TensorFlow, pillow_inr or the processor changes. You may delete it at any time.
    """
    import numpy as np

    random = np.random.default_rng(0)
    for kind, shape in _IMAGES.items():
        began = time.perf_counter()
        image = random.integers(0, 256, shape, np.uint8)
        try:
            encode(image, model="pyramid", steps=_STEPS)
        except BackendError as error:
            click.secho(f"pillow-inr: {error}", err=True, fg="red")
            sys.exit(1)
        click.echo(f"{kind}: {time.perf_counter() - began:.1f} s")
    click.echo(_kept())


def _kept() -> str:
    caches = user_cache.folder()
    if caches is None or compiled_code.folder() is None:
        return "Nothing is kept: there is no cache folder that is yours alone."
    size = sum(path.stat().st_size for path in caches.rglob("*") if path.is_file())
    return f"Kept in {caches}: {size / 1e6:.1f} MB."
