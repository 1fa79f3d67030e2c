"""What the project of a folder starts, found by reading it: nothing of it is imported or run."""
