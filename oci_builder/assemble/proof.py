"""What was written, read again and held to all that ``ocibuild verify`` asks before it appears; and what was pushed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from oci_builder.assemble.options import Options
from oci_builder.errors import CheckFailed
from oci_builder.reference import Reference
from oci_builder.registry.registries import Registries
from oci_builder.reporter import Reporter
from oci_builder.store import Store
from oci_builder.verify.verify import Report, verify_file, verify_layout, verify_reference


def file_proof(path: Path, options: Options, reporter: Reporter) -> Callable[[Path], None] | None:
    """What looks at the file that is to be ``path`` while it still has another name; None where nobody asked.

    It raises CheckFailed.
    """
    if not options.verify:
        return None

    def prove(begun: Path) -> None:
        with reporter.stage("verify"):
            _let_through(str(path), verify_file(begun), f"{path} was not written")

    return prove


def layout_proof(folder: Path, options: Options, reporter: Reporter) -> Callable[[bytes], None] | None:
    """The same for a layout, with the index that is about to be its own."""
    if not options.verify:
        return None

    def prove(index: bytes) -> None:
        with reporter.stage("verify"):
            report = verify_layout(folder, index)
            _let_through(str(folder), report, f"{folder} names what it named before; `ocibuild verify` looks into it")

    return prove


def prove_served(
    references: Sequence[Reference], registries: Registries, options: Options, *, store: Store, reporter: Reporter
) -> None:
    """Read all that registries serve under the names that were pushed, if that was asked for. Raises CheckFailed."""
    if not options.verify:
        return
    for reference in references:
        with reporter.stage("verify"):
            report = verify_reference(reference, None, registries, store=store)
            _let_through(str(reference), report, "the name leads there already: push again, or delete it there")


def _let_through(what: str, report: Report, hint: str) -> None:
    if report.findings:
        raise CheckFailed(what, report.findings, hint=hint)
