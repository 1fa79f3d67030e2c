"""What is left of a run that a disk, a signal or a sudden end stops at any of its system calls."""
