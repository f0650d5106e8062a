"""A federation on one embedded cluster: a hub and its organizations, each with rights of its own and no more."""
