"""Entropy coding: distributions, the range coder, the choice of scales, quantization. Knows no model."""
