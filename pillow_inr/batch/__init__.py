"""Many images at a time: `encode_many`, what it plans and what it records."""

from .planning import Plan, Source, encode_many

__all__ = ["Plan", "Source", "encode_many"]
