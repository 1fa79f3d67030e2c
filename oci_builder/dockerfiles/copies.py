"""COPY and ADD of the folder that a Dockerfile lies in, and of the files that it holds itself."""

from __future__ import annotations

import posixpath
import re

from oci_builder.dockerfiles.draft import Copied, Place, Verdict
from oci_builder.dockerfiles.parsing import Instruction

_FOLDERS = ("bin", "sbin", "lib", "lib64", "tmp", "opt")
"""Names of folders that every image has: what is copied to one goes into it."""


def copy(each: Instruction, place: Place) -> None:
    """What an instruction copies, but for what it takes from other stages."""
    if each.heredocs:
        _write(each, place)
        return
    words = [place.expand(word) for word in each.words]
    sources, dest = words[:-1], words[-1] if words else "."
    for source in sources:
        if source.startswith(("http://", "https://", "git@")):
            table = f'[[fetch]] url = "{source}", sha256 = "…", dest = "{place.path(dest)}"'
            place.draft.say(each.line, Verdict.BY_HAND, f"{table}: with what sha256sum says of the file")
            continue
        if each.name == "ADD" and source.endswith((".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")):
            place.draft.say(each.line, Verdict.BY_HAND, f"{source}: unpack it before the build, and copy the folder")
            continue
        for one in _matching(source, place):
            add(each, one, dest, place, several=len(sources) > 1 or one != source)


def copy_from_image(each: Instruction, image: str, place: Place) -> None:
    """What an instruction copies out of the image ``image``: of a stage that only helps it is to be made by hand."""
    words = [place.expand(word) for word in each.words]
    if not place.is_final or len(words) < 2:
        place.draft.say(each.line, Verdict.BY_HAND, f"files of {image} in a stage: copy them out of it with [[copy]]")
        return
    named = image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"
    dest, sources = words[-1], words[:-1]
    path = place.path(dest)
    into = dest.endswith("/") or len(sources) > 1 or path == place.workdir or posixpath.basename(path) in _FOLDERS
    for source in sources:
        folder, _, name = f"/{source.lstrip('/')}".rpartition("/")
        pattern = re.search(r"[*?\[]", source) is not None
        if pattern and re.search(r"[*?\[]", folder):
            place.draft.say(each.line, Verdict.CANNOT, f"{source} of {image}: only a name may be a pattern, no folder")
            continue
        whole = posixpath.normpath(f"{folder}/{name}")
        copied = Copied(
            src=(folder or "/") if pattern else whole,
            dest=f"{path.rstrip('/')}/" if into else path,
            line=each.line,
            is_folder=False,
            image=named,
            include=name if pattern else "",
            owner=place.expand(each.flags.get("chown", "")),
            mode=_mode(each),
        )
        place.draft.copies.append(copied)


def _write(each: Instruction, place: Place) -> None:
    """The files that stand in the instruction: they are written beside the recipe."""
    dest = place.expand(each.words[-1])
    into = dest.endswith("/") or len(each.heredocs) > 1
    for doc in each.heredocs:
        name = doc.name if into else posixpath.basename(place.path(dest)) or doc.name
        beside = place.draft.write(name, place.expand(doc.content) if doc.expand else doc.content)
        path = posixpath.join(dest, name) if into else dest
        _add(each, beside, place.path(path), place, is_folder=False)


def _matching(source: str, place: Place) -> list[str]:
    """The files that a pattern of Docker means, where they are there; the word itself for a plain name."""
    context = place.draft.context
    if not re.search(r"[*?\[]", source) or context is None:
        return [source]
    found = sorted(path.relative_to(context).as_posix() for path in context.glob(source.lstrip("/")))
    return found or [source]


def add(each: Instruction, word: str, dest: str, place: Place, *, several: bool = False) -> Copied:
    """One file or folder that is copied to ``dest``, as the instruction says it."""
    path, folder = place.path(dest), place.draft.is_folder(word)
    into = several or dest.endswith("/") or dest in (".", "./", "..") or path == place.workdir
    if not folder and into:
        path = f"{path.rstrip('/')}/"
    return _add(each, posixpath.normpath(word.lstrip("/") or "."), path, place, is_folder=folder)


def _add(each: Instruction, source: str, path: str, place: Place, *, is_folder: bool) -> Copied:
    copied = Copied(
        src=source,
        dest=path,
        line=each.line,
        is_folder=is_folder,
        owner=place.expand(each.flags.get("chown", "")),
        mode=_mode(each),
    )
    place.copies.append(copied)
    if place.is_final:
        # It is spoken of in the end: it may turn out to be read while wheels are chosen, and by nothing else.
        place.draft.copies.append(copied)
    return copied


def _mode(each: Instruction) -> str:
    mode = each.flags.get("chmod", "")
    return f"0{mode.lstrip('0')}" if re.fullmatch(r"0*[0-7]{3,4}", mode) else ""
