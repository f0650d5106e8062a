"""The operator process: events, queue, lease, metrics, health, settings."""
