"""Encodes many images at a time, in processes or on a cluster, and records what became of each."""

from .finding import Source
from .planning import Plan, encode_many

__all__ = ["Plan", "Source", "encode_many"]
