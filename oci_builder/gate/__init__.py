"""Whether an image will run: libraries, interpreters, imports and what else the kernel and Python ask for."""
