"""Small real images, layer by layer, with content nobody has seen before unless a test names its nonce."""

from __future__ import annotations

import os
import random
import struct

from oci_builder.image import Image
from oci_builder.layer import Layer, write_layer
from oci_builder.oci.documents import RunConfig
from oci_builder.platforms import AMD64, Platform
from oci_builder.store import Store
from oci_builder.tree.entry import Entry, directory, file, symlink
from oci_builder.tree.placing import place
from oci_builder.tree.tree import Tree
from tests.support.readers import read_back

CREATED = 1_700_000_000
ORIGIN = "a test"


def fresh_nonce() -> str:
    """Text that no engine can have in its cache: known chain IDs skip verification."""
    return os.urandom(8).hex()


def random_image(
    store: Store,
    *,
    layers: int = 2,
    nonce: str = "",
    platform: Platform = AMD64,
    run: RunConfig | None = None,
    size: int = 100_000,
) -> Image:
    """An image of ``layers`` layers, the first with a base's folders and ``/bin/hello``, the others files upon it.

    Run, it prints ``hello <nonce>``. The same ``nonce`` gives the same image; ``size`` is the largest file's, in bytes.
    """
    nonce = nonce or fresh_nonce()
    base = base_tree(nonce)
    trees = [base, *(place(random_entries(f"{nonce}-{number}", size=size), base) for number in range(1, layers))]
    image = Image(
        platform=platform,
        run=run or RunConfig(user="1000:1000", entrypoint=("/bin/hello",), env={"PATH": "/bin"}, workdir="/home/user"),
        created=CREATED,
    )
    return image.append(*(random_layer(store, tree, number) for number, tree in enumerate(trees)))


def random_layer(store: Store, tree: Tree, number: int = 0) -> Layer:
    """``tree`` as a layer in ``store``."""
    layer = write_layer(tree, store, created_by=f"test layer {number}", holds=(f"part {number}",))
    read_back(layer, store)
    return layer


def base_tree(nonce: str) -> Tree:
    """What a base has that later layers can hurt: special modes, owners, a symlinked folder, a program."""
    return Tree(
        [
            directory("bin", origin=ORIGIN),
            file("bin/hello", hello_program(f"hello {nonce}\n"), mode=0o755, origin=ORIGIN),
            directory("etc", origin=ORIGIN),
            file("etc/passwd", b"root:x:0:0::/root:/bin/hello\nuser:x:1000:1000::/home/user:\n", origin=ORIGIN),
            directory("home", origin=ORIGIN),
            directory("home/user", mode=0o750, uid=1000, gid=1000, origin=ORIGIN),
            directory("root", mode=0o700, origin=ORIGIN),
            directory("tmp", mode=0o1777, origin=ORIGIN),
            directory("usr", origin=ORIGIN),
            directory("usr/lib", origin=ORIGIN),
            symlink("lib", "usr/lib", origin=ORIGIN),
        ]
    )


def random_entries(nonce: str, *, size: int = 100_000) -> list[Entry]:
    """Entries of every kind and awkward size, their names and contents made from ``nonce``."""
    source = random.Random(nonce)
    home = f"opt/{nonce}"
    long = "/".join(["a-rather-long-name-of-a-folder"] * 4)
    return [
        file(f"{home}/noise", source.randbytes(size), origin=ORIGIN),
        file(f"{home}/text", f"{nonce}\n".encode() * 2000, mode=0o600, uid=1000, gid=1000, origin=ORIGIN),
        file(f"{home}/empty", b"", origin=ORIGIN),
        file(f"{home}/block", source.randbytes(512), origin=ORIGIN),
        file(f"{home}/größe-☃", nonce.encode(), origin=ORIGIN),
        file(f"{home}/{long}/deep", nonce.encode(), origin=ORIGIN),
        file(f"lib/{nonce}.txt", nonce.encode(), origin=ORIGIN),
        file(f"tmp/{nonce}", b"", origin=ORIGIN),
        symlink(f"{home}/link", "noise", origin=ORIGIN),
        symlink(f"{home}/dangling", "/nowhere", origin=ORIGIN),
        directory(f"{home}/private", mode=0o700, uid=1000, gid=1000, origin=ORIGIN),
    ]


def hello_program(message: str) -> bytes:
    """A static x86-64 Linux program that prints ``message``: an image that runs needs no more than this."""
    text = message.encode()
    code = b"".join(
        [
            b"\xb8\x01\0\0\0",  # mov eax, 1 (write)
            b"\xbf\x01\0\0\0",  # mov edi, 1 (standard output)
            b"\x48\x8d\x35\x10\0\0\0",  # lea rsi, [rip + 16]: what follows the code
            b"\xba" + struct.pack("<I", len(text)),  # mov edx, length
            b"\x0f\x05",  # syscall
            b"\xb8\x3c\0\0\0",  # mov eax, 60 (exit)
            b"\x31\xff\x0f\x05",  # xor edi, edi; syscall
        ]
    )
    start, headers = 0x400000, 64 + 56
    size = headers + len(code) + len(text)
    elf = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, start + headers, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    elf += struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size, size, 0x1000)
    return elf + code + text
