"""`pillow_inr.numcodecs_codec`, the name under which numcodecs finds the codec; the code is in `plugins`."""

from .plugins.numcodecs_codec import InrCodec

__all__ = ["InrCodec"]
