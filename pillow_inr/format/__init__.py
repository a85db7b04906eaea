"""The .inr file as bytes: signature, header, chunks, checksum, metadata (docs/format.md). Knows no model."""
