"""What the command line does, for Python: a builder, plans and images as values, in a script or a notebook."""
