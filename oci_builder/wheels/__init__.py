"""Wheels: chosen for a target, fetched, checked and laid out as entries."""
