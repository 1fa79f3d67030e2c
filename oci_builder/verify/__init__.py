"""Whether the bytes and documents of an image hold: digests, manifests, layers, locks, a build made again."""
