"""TensorFlow's persistent cache of the code that XLA compiles, in the user's cache folder.

To compile a pyramid's fit takes longer than to fit a small photograph; what an earlier process compiled is there in a
third of the time. The cache belongs to TensorFlow, which reads its place once, when it first looks for devices: the
setting is in the environment during that moment alone.
"""

import contextlib
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR

from . import user_cache

_VARIABLE = "TF_XLA_FLAGS"
_FLAG = "--tf_xla_persistent_cache_directory"


@contextmanager
def kept() -> Iterator[None]:
    """A context in which TensorFlow may look for devices for the first time: it will keep compiled code."""
    before = os.environ.get(_VARIABLE, "")
    place = None if _FLAG in before else folder()
    if place is None:
        yield
        return
    os.environ[_VARIABLE] = f"{before} {_FLAG}={place}".strip()
    try:
        yield
    finally:
        os.environ[_VARIABLE] = before
        if not before:
            del os.environ[_VARIABLE]


def folder() -> Path | None:
    """Where code for this processor and this TensorFlow is kept; None if there is no place of this user's alone."""
    caches = user_cache.folder()
    if caches is None:
        return None
    version = str(getattr(sys.modules.get("tensorflow"), "__version__", ""))
    made_by = version.encode() + user_cache.processor()
    place = caches / f"xla-{zlib.crc32(made_by):08x}"
    # TensorFlow splits its flags at spaces.
    if any(character.isspace() or character in "\"'" for character in str(place)):
        return None
    with contextlib.suppress(OSError):
        place.mkdir(user_cache.PRIVATE, parents=True, exist_ok=True)
        if all(user_cache.is_private(os.lstat(path), S_ISDIR) for path in (caches, place)):
            return place
    return None
