"""The `fedsnap` command, also `kubectl fedsnap`."""
