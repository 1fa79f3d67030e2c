"""An image that was read, and what is in it: distributions, packages, licences, sizes, differences."""
