"""The SIREN: one sine-activated network from positions to colours (docs/format.md sections 4, 5 and 7)."""
