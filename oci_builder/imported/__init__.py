"""Images made elsewhere, read without trust: their parts wherever they lie, and what a container would see in them."""
