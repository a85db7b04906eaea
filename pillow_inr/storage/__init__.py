"""Files that are there whole or not at all, on this machine and behind URLs. Knows no format."""
