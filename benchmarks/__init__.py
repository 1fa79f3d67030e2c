"""Peers and ours, from the same wheels, in the same run: ``python -m benchmarks``."""
