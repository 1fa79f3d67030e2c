"""Registries: where images come from and go to, and a cache that several machines share.

What other rooms call. Nothing here imports requests and oras before ``Registries.of`` first speaks to a registry::

    access = Access(logins=Logins(environ), insecure=False, ca_file=None)   # made once, by cli
    registries = Registries(access)                                          # one for a run; threads may share it

    # reading (pulling.py)
    resolve(reference, registries) -> Descriptor | None        # one HEAD; the tag's digest today
    fetch_manifest(reference, registries) -> Manifest | Index  # oci/manifest.py; verified, raw bytes kept
    fetch_image(reference, platform, registries) -> PulledImage   # manifest and config (bytes, verified), no layers
    blob_chunks(reference, descriptor, registries) -> Generator[bytes]   # streamed, resumed where it breaks, verified
    fetch_blobs(reference, descriptors, registries, store=, jobs=, reporter=) -> int   # into the store, in parallel

    list_tags(reference, registries) -> tuple[str, ...]        # tags.py; all pages, bounded

    # writing (pushing.py)
    push(images, references, registries, blobs=, store=, sources=, jobs=, reporter=) -> tuple[Pushed, ...]

    # finished layers for other machines (cache.py), found by Store(root, shared=cache)
    cache = RegistryCache(registries, sources=, targets=, jobs=, reporter=)
    cache.offer(store, sources=)

``reference`` names the repository; where it matters its digest, else its tag, names the manifest. ``blobs`` is a Store
or anything like it; ``sources`` says for a blob's digest in which repository it can be found, so that a base's layers
are mounted instead of sent, and need not be in the store.

Everything raises RegistryError, DigestMismatch, UnsupportedImage, FileProblem; a cache raises nothing.
"""
