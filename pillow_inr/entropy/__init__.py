"""Entropy coding: quantization, probability models, the range coder and the search for scales. Knows no network."""
