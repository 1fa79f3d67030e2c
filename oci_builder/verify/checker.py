"""The blobs of images against what is promised of them: names, sizes, digests, diff IDs, and the rules for layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from oci_builder.debian.unscripted import SAID, unscripted_of
from oci_builder.digest import Digest
from oci_builder.image import MAX_LAYERS
from oci_builder.imported.documents import Findings, as_object, read_object
from oci_builder.imported.unpacked import HEAD, Hashed, packing_of, unpacked
from oci_builder.tree.limits import Budget, ByteReader, Damaged
from oci_builder.tree.tarstream import TarStream
from oci_builder.verify.config import check_config
from oci_builder.verify.layer_rules import LayerRules
from oci_builder.verify.layout import Held
from oci_builder.verify.manifests import Contents, Holder, LayerFile
from oci_builder.verify.results import CheckedImage, CheckedLayer, Report
from oci_builder.wheels.unverified import unverified_of

_MOST_LAYERS = 1000
"""Layers of an image that are read, although no engine mounts so many."""


class Checker:
    """The blobs of images against what is promised of them."""

    def __init__(self, holder: Holder, findings: Findings) -> None:
        self._holder, self._findings = holder, findings
        self.remarks = Findings()
        self._budget = Budget()
        # Images of one base share their lowest layers; each is read once, with what it does to the links below it.
        self._done: dict[tuple[int, str], tuple[int, CheckedLayer | None, Mapping[str, bool]]] = {}

    def report(self, held: Held) -> Report:
        """Check all images, and what else their manifests name."""
        several = len(held.images) > 1
        images = tuple(self._image(contents, several=several) for contents in held.images)
        for blob in held.others:
            self.check_blob(blob)
        for line in self._findings.remarks:
            self.remarks.add(line)
        return Report(images, _told(self._findings), _told(self.remarks))

    def check_blob(self, blob: LayerFile) -> None:
        """A blob that is no layer: there, and what its name and descriptor say."""
        source = self._holder.open(blob)
        if source is None:
            self._findings.add(f"{blob.path} is not there")
            return
        packed = Hashed(source)
        if self._drained(packed):
            self._check_promise(blob, packed, blob.path)

    def _image(self, contents: Contents, *, several: bool) -> CheckedImage:
        what = f"configuration {contents.config_path.rpartition('/')[2]}" if several else "configuration"
        if len(contents.layers) > MAX_LAYERS:
            self._findings.add(f"the image: {len(contents.layers)} layers, and Docker mounts {MAX_LAYERS} at most")
        self._budget.next_image()
        layers = self._layers(contents.layers[:_MOST_LAYERS])
        if contents.config is not None:
            diff_ids = [layer.diff_id if layer else None for layer in layers]
            check_config(contents.config, diff_ids, self._findings, what=what)
            self._say_labelled(contents.config)
        return CheckedImage(
            id=Digest.of(contents.config) if contents.config is not None else None,
            digest=contents.manifest_digest,
            platform=_platform(contents.config),
            layers=tuple(layer for layer in layers if layer),
        )

    def _say_labelled(self, config: bytes) -> None:
        run = as_object(as_object(read_object(config, "configuration", Findings())).get("config"))
        for name in sorted(unverified_of(run)):
            self.remarks.add(f"{name} was not held to the digests in its RECORD ([python] unverified)")
        for name in sorted(unscripted_of(run)):
            self.remarks.add(f"{name}: {SAID}")

    def _layers(self, layers: Sequence[LayerFile]) -> list[CheckedLayer | None]:
        links: set[str] = set()
        checked: list[CheckedLayer | None] = []
        below = 0
        for number, layer in enumerate(layers, 1):
            key = (below, layer.path)
            if key not in self._done:
                rules = LayerRules(f"layer {number} ({layer.label})", links=links)
                found = self._layer(layer, rules)
                self._done[key] = len(self._done) + 1, found, rules.linked
            below, found, linked = self._done[key]
            for path, is_link in linked.items():
                (links.add if is_link else links.discard)(path)
            checked.append(found)
        return checked

    def _layer(self, layer: LayerFile, rules: LayerRules) -> CheckedLayer | None:
        label = rules.layer
        blob = self._holder.open(layer)
        if blob is None:
            self._findings.add(f"{label}: {layer.path} is not there")
            return None
        peeked = _Peeked(blob)
        packing = packing_of(self._head(peeked))
        packed = Hashed(peeked)
        if layer.packing is not None and layer.packing is not packing:
            said = f"{packing.value}, and said to be {layer.packing.value}"
            self._findings.add(f"{label}: its media type and its first bytes disagree about its compression: {said}")
        size = self._holder.size(layer)
        plain = unpacked(packed, packing, what=label)
        counted = self._budget.unpacking(plain, key=layer.path, packed=packed if size is None else size, what=label)
        diff_id = self._diff_id(Hashed(counted), rules)
        whole = self._drained(packed)
        for line in rules.findings:
            self._findings.add(line)
        for line in rules.remarks:
            self.remarks.add(line)
        if whole:
            self._check_promise(layer, packed, label)
        return CheckedLayer(packed.digest(), packed.size, diff_id, rules.entries)

    def _head(self, peeked: _Peeked) -> bytes:
        try:
            return peeked.peek(HEAD)
        except Damaged:
            return b""  # said again when it is read

    def _diff_id(self, plain: Hashed, rules: LayerRules) -> Digest | None:
        stream = TarStream(plain, what=rules.layer, budget=self._budget)
        try:
            for member in stream.members():
                rules.add(member)
        except Damaged as error:
            self._findings.add(str(error))
        rules.finish()
        for name in stream.global_headers:
            rules.add_global_header(name)
        for line in (*stream.oddities, *([stream.unclosed] if stream.unclosed else [])):
            self.remarks.add(line)
        # After damage to the tar, what is left still belongs to the diff ID.
        return plain.digest() if self._drained(plain) else None

    def _drained(self, source: Hashed) -> bool:
        """Whether a source could be read to its end; why not is said."""
        try:
            source.drain()
        except Damaged as error:
            self._findings.add(str(error))
            return False
        return True

    def _check_promise(self, blob: LayerFile, packed: Hashed, label: str) -> None:
        if blob.digest is not None and packed.digest() != blob.digest:
            self._findings.add(f"{label}: its bytes have the digest {packed.digest()}")
        if blob.size is not None and packed.size != blob.size:
            self._findings.add(f"{label}: {packed.size} bytes, and its descriptor says {blob.size}")


class _Peeked:
    """A source whose first bytes are looked at before they are read."""

    def __init__(self, source: ByteReader) -> None:
        self._source = source
        self._head = b""

    def peek(self, size: int) -> bytes:
        """The first bytes, before anything is read."""
        while len(self._head) < size and (data := self._source.read(size - len(self._head))):
            self._head += data
        return self._head

    def read(self, size: int, /) -> bytes:
        """``size`` bytes, or fewer at the end."""
        data, self._head = self._head[:size], self._head[size:]
        return data + self._source.read(size - len(data)) if len(data) < size else data


def _platform(config: bytes | None) -> str:
    document = as_object(read_object(config, "configuration", Findings()))
    parts = (document.get(key) for key in ("os", "architecture", "variant"))
    return "/".join(part for part in parts if isinstance(part, str) and part)


def _told(findings: Findings) -> tuple[str, ...]:
    return tuple(_safe(line) for line in findings.lines)


def _safe(line: str) -> str:
    """A line that moves no cursor: it may quote names of an image."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
