"""What a build made, as a line for a person and as JSON for a program."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oci_builder.cli import loaded as engines
from oci_builder.cli.bills import as_document_of, told_of
from oci_builder.cli.progress import human_bytes
from oci_builder.cli.registries import as_document, told
from oci_builder.cli.terminal import say, tell_json
from oci_builder.export.output import stream_of
from oci_builder.wording import counted

if TYPE_CHECKING:
    from oci_builder.assemble.loading import EngineLoad
    from oci_builder.image import Image
    from oci_builder.layer import Layer
    from oci_builder.platforms import Platform
    from oci_builder.reference import Reference
    from oci_builder.registry.pushing import Pushed
    from oci_builder.registry.referrers import Attached


_MOST_PORTS = 3
"""Ports that the next command publishes."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One image, and where it went: a file of ``size`` bytes, or a folder that ``size`` bytes were new to.

    ``pushed`` are the names it was pushed to, ``attached`` the bills beside them, ``loaded`` is what became of it in an
    engine; ``seconds`` are by stage, and in ``total``.
    """

    image: Image
    path: Path | None
    size: int
    references: Sequence[Reference]
    seconds: Mapping[str, float]
    loaded: EngineLoad | None = None
    pushed: Sequence[Pushed] = ()
    attached: Sequence[Attached] = ()

    def tell(self, *, as_json: bool, quiet: bool, following: str = "") -> None:
        """JSON, if asked for, to stdout; the summary and what may follow, unless ``quiet``, to stderr."""
        if not quiet:
            say(self.summary())
            for line in engines.told_of_loaded(self.loaded, self.image) if self.loaded else ():
                say(line)
            for each in self.pushed:
                say(told(each))
            for bill in self.attached:
                say(told_of(bill))
            if following:
                say(f"next: {following}")
        if as_json:
            tell_json(self.document())

    def summary(self) -> str:
        """One line: file, platform, size, image ID, tags, layers, seconds."""
        return f"{self.brief}, {self.seconds['total']:.1f} s"

    @property
    def brief(self) -> str:
        """The summary without seconds."""
        tags = ", ".join(reference.familiar for reference in self.references)
        where = stream_of(self.path) or self.path if self.path else ""
        place = (
            f"{where}: {self.image.platform}, {human_bytes(self.size)}, " if self.path else f"{self.image.platform}: "
        )
        return f"{place}image {self.image.id.hex[:12]}, {tags}, {counted(len(self.image.layers), 'layer')}"

    def next_step(self, engine: str, here: Platform | None) -> str:
        """The command to type next: the one with which ``engine`` runs the image; nothing where none can follow.

        ``here`` is what this machine runs; another platform is named, so that the engine emulates it or says no.
        """
        path, platform = self.path, "" if self.image.platform == here else f"--platform {self.image.platform} "
        platform += "".join(f"-p {port}:{port} " for port in self._ports)
        name = self.references[0].familiar if self.references else ""
        if self.pushed:
            return f"{engine} run --rm {platform}{self.pushed[0].reference}"
        if self.loaded:
            return f"{engine} run --rm {platform}{name}"
        if path is None or stream_of(path) or not name:
            return ""
        if not path.is_file():
            return f"podman run --rm {platform}{shlex.quote(f'oci:{path}')}"
        return f"{engine} load -i {shlex.quote(str(path))} && {engine} run --rm {platform}{name}"

    @property
    def _ports(self) -> tuple[str, ...]:
        """The ports to reach it at, where these are few."""
        found = tuple(port.partition("/")[0] for port in self.image.run.exposed_ports if port.endswith("/tcp"))
        return found if len(found) <= _MOST_PORTS else ()

    def document(self) -> dict[str, Any]:
        """The same and more; sizes are bytes, ``digest`` is the manifest's."""
        return {
            "file": str(self.path) if self.path else None,
            "size": self.size,
            "id": str(self.image.id),
            "digest": str(self.image.digest),
            "platform": str(self.image.platform),
            "tags": [reference.familiar for reference in self.references],
            "layers": [_layer(layer) for layer in self.image.layers],
            "loaded": engines.said(self.loaded) if self.loaded else None,
            "load": engines.as_document(self.loaded) if self.loaded else None,
            "pushed": [as_document(each) for each in self.pushed],
            "attached": [as_document_of(each) for each in self.attached],
            "seconds": dict(self.seconds),
        }


def _layer(layer: Layer) -> dict[str, Any]:
    return {
        "digest": str(layer.descriptor.digest),
        "diff_id": str(layer.diff_id),
        "size": layer.descriptor.size,
        "unpacked": layer.unpacked,
        "created_by": layer.created_by,
        "holds": list(layer.holds),
    }
