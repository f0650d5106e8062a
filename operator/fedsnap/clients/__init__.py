"""The outside world: cluster, Vault, object store."""
