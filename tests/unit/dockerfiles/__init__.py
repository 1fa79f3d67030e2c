"""Dockerfiles as recipes."""
