"""What a shared object or program says of itself: the only importer of pyelftools."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import IO, Any, cast

from elftools.elf.elffile import ELFFile

from oci_builder.errors import DamagedElf

MAGIC = b"\x7fELF"
_MACHINES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """The dynamic section in values (gABI). Empty text and tuples stand for what a file does not say.

    ``machine`` is ``uname -m``'s word ("x86_64"), or ELF's own ("EM_386") for one no image is built for; ``kind`` is
    ``ET_DYN`` for shared objects and position-independent programs, ``ET_EXEC``, ``ET_REL``.
    """

    machine: str
    bits: int
    kind: str
    interpreter: str = ""
    soname: str = ""
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()


def parse(data: bytes | memoryview, *, what: str) -> Elf | None:
    """What the file says, or None if it is no ELF file. ``what`` names it in errors. Raises DamagedElf."""
    if bytes(data[:4]) != MAGIC:
        return None
    try:
        # Released by hand: pyelftools' objects refer to each other, and a mapped file cannot be closed under a view.
        with memoryview(data) as view:
            return _parsed(ELFFile(cast("IO[bytes]", _View(view))))
    except Exception as error:
        # pyelftools meets damage with whatever Python raises there: KeyError, struct.error, AttributeError …
        raise DamagedElf(what, str(error) or type(error).__name__) from error


def _parsed(elf: Any) -> Elf:
    interpreter, tags = "", []
    for segment in elf.iter_segments():
        kind = segment.header.p_type
        if kind == "PT_INTERP":
            interpreter = segment.get_interp_name()
        elif kind == "PT_DYNAMIC":
            tags = list(segment.iter_tags())
    runpath = [tag.runpath for tag in tags if tag.entry.d_tag == "DT_RUNPATH"]
    # DT_RPATH counts only where there is no DT_RUNPATH (ld.so(8)).
    runpath = runpath or [tag.rpath for tag in tags if tag.entry.d_tag == "DT_RPATH"]
    return Elf(
        machine=_MACHINES.get(elf.header.e_machine, str(elf.header.e_machine)),
        bits=elf.elfclass,
        kind=str(elf.header.e_type),
        interpreter=interpreter,
        soname=next((tag.soname for tag in tags if tag.entry.d_tag == "DT_SONAME"), ""),
        needed=tuple(tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"),
        runpath=tuple(part for text in runpath for part in text.split(":") if part),
    )


class _View(io.RawIOBase):
    """Mapped bytes as a stream that copies only what is read."""

    def __init__(self, view: memoryview) -> None:
        self._view, self._at = view, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, len(self._view))[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = len(self._view) if size is None or size < 0 else self._at + size
        data = bytes(self._view[self._at : end])
        self._at += len(data)
        return data
