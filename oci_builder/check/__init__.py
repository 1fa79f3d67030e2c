"""Whether an image is what it should be: its bytes, its documents, its files."""
