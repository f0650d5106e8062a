"""Secure aggregation: encodings, keys, shares, masks and checks; no I/O."""
