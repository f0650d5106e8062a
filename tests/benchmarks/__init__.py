"""Measurements: `make bench`. They assert nothing and print one table."""
