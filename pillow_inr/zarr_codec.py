"""`pillow_inr.zarr_codec`, the name under which Zarr finds the codec of format 3; the code is in `plugins`."""

from .plugins.zarr_codec import InrZarrCodec

__all__ = ["InrZarrCodec"]
