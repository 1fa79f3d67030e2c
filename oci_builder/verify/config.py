"""The configuration of an image against its layers (OCI image-spec, config.md)."""

from __future__ import annotations

from collections.abc import Sequence

from oci_builder.digest import Digest
from oci_builder.imported.documents import Findings, as_object, as_strings, bad_times, read_object
from oci_builder.wording import counted


def check_config(
    data: bytes, diff_ids: Sequence[Digest | None], findings: Findings, *, what: str = "configuration"
) -> None:
    """Say where the configuration does not describe layers with ``diff_ids``; None is one that could not be read.

    ``what`` is what findings call it.
    """
    document = read_object(data, what, findings)
    if document is None:
        return
    for key in ("architecture", "os"):
        if not isinstance(document.get(key), str) or not document[key]:
            findings.add(f"{what}: no {key}")
    for wrong in bad_times(document):
        findings.add(f"{what}: {wrong}")
    rootfs = as_object(document.get("rootfs"))
    if rootfs.get("type") != "layers":
        findings.add(f"{what}: rootfs.type is not 'layers'")
    _check_diff_ids(as_strings(rootfs.get("diff_ids")), diff_ids, findings, what=what)
    _check_history(document.get("history"), len(diff_ids), findings, what=what)


def _check_diff_ids(named: Sequence[str], found: Sequence[Digest | None], findings: Findings, *, what: str) -> None:
    if len(named) != len(found):
        findings.add(f"{what}: {counted(len(named), 'diff ID')} for {counted(len(found), 'layer')}")
    for number, (text, digest) in enumerate(zip(named, found, strict=False), 1):
        if digest is not None and text != str(digest):
            findings.add(f"layer {number}: its content has the diff ID {digest}, and the {what} says {text}")


def _check_history(history: object, layers: int, findings: Findings, *, what: str) -> None:
    if history is None:
        return
    if not isinstance(history, list):
        findings.add(f"{what}: history is not an array")
        return
    steps = sum(as_object(step).get("empty_layer") is not True for step in history)
    if steps != layers:
        findings.add(f"{what}: history tells of {steps} layers, and there are {layers}")
