"""File formats of snapshots and rounds; no I/O but files."""
