"""Samples, coordinates, resampling, metrics, and Pillow's modes and metadata. Knows no model."""
