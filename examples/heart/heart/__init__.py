"""A federated heart-disease model of four hospitals."""
