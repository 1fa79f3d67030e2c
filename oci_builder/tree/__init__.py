"""A root filesystem as values: knows neither wheels nor packages nor OCI."""
