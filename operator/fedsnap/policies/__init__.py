"""Pure decisions, one per file."""
