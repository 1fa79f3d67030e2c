"""Bills of materials that ``--sbom`` asks for: files of a build, and artifacts beside what it pushes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oci_builder.cli.messages import misused
from oci_builder.outputs import check_output
from oci_builder.wording import making

if TYPE_CHECKING:
    from oci_builder.platforms import Platform
    from oci_builder.recipes import ImageToml
    from oci_builder.registry.referrers import Attached
    from oci_builder.sbom import Format


@dataclass(frozen=True, kw_only=True)
class Bills:
    """In which format, and where they are written: ``files`` by platform, perhaps none. No format: no bills."""

    form: Format | None = None
    files: Mapping[Platform, Path] = field(default_factory=dict)


def wanted_bills(
    text: str | None, platforms: Sequence[Platform], recipe: ImageToml, *, pushes: Sequence[object]
) -> Bills:
    """What a build's ``--sbom`` asks for: a file, or the name of a format, which is for what is pushed.

    Raises click.UsageError and InvalidValue for what could only fail after the build.
    """
    if text is None:
        return Bills()
    # Nobody who wants none waits for them to be loaded.
    from oci_builder.sbom import SUFFIXES, format_of

    for form in SUFFIXES:
        if text == form:
            if not pushes:
                raise misused(
                    f"--sbom {text}: a format alone goes with --push; name a file that ends in {SUFFIXES[form]}"
                )
            return Bills(form=form)
    if len(platforms) > 1 and "{arch}" not in text:
        raise misused(f"--sbom {text}: {len(platforms)} platforms need {{arch}} in the file name")
    pattern = text.replace("{name}", recipe.name).replace("{version}", recipe.release)
    files = {target: Path(pattern.replace("{arch}", target.architecture)) for target in platforms}
    for path in files.values():
        format_of(path)
        if not path.parent.is_dir():
            raise misused(f"--sbom {path}: there is no folder {path.parent}; make it: {making(path.parent)}")
        if path.is_dir():
            raise misused(f"--sbom {path}: this is a folder")
        check_output(path)
    return Bills(form=format_of(Path(pattern)), files=files)


def told_of(attached: Attached) -> str:
    """What became of one bill, in one line."""
    from oci_builder.cli.progress import human_bytes

    how = "was there" if attached.was_there else f"attached, {human_bytes(attached.sent)} sent"
    where = "" if attached.listed == "api" else ", listed under a tag"
    return (
        f"{attached.repository}@{attached.digest}: {attached.media_type} of {str(attached.subject)[:19]}: {how}{where}"
    )


def as_document_of(attached: Attached) -> dict[str, Any]:
    """The same for a program; ``sent`` is in bytes."""
    return {
        "repository": str(attached.repository),
        "subject": str(attached.subject),
        "digest": str(attached.digest),
        "media_type": attached.media_type,
        "listed": attached.listed,
        "sent": attached.sent,
        "was_there": attached.was_there,
    }
