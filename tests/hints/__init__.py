"""Hints, followed to the letter: what a failure says to write or to type is written and typed, and it goes on."""
