"""What was written, read again and held to all that ``ocibuild verify`` asks before it appears; and what was pushed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from oci_builder.assemble.context import BuildContext
from oci_builder.errors import CheckFailed
from oci_builder.reference import Reference
from oci_builder.reporter import Reporter
from oci_builder.tree.limits import MADE_HERE, allowing
from oci_builder.verify.results import Report
from oci_builder.verify.verify import verify_file, verify_layout, verify_reference


def file_proof(path: Path, reporter: Reporter) -> Callable[[Path], None]:
    """What looks at the file that is to be ``path`` while it still has another name. It raises CheckFailed."""

    def prove(begun: Path) -> None:
        with reporter.stage("verify"), allowing(MADE_HERE, unpacked=MADE_HERE):
            _let_through(str(path), verify_file(begun), f"{path} was not written")

    return prove


def layout_proof(folder: Path, reporter: Reporter) -> Callable[[bytes], None]:
    """The same for a layout, with the index that is about to be its own."""

    def prove(index: bytes) -> None:
        with reporter.stage("verify"), allowing(MADE_HERE, unpacked=MADE_HERE):
            report = verify_layout(folder, index)
            _let_through(str(folder), report, f"{folder} names what it named before; `ocibuild verify` looks into it")

    return prove


def prove_served(references: Sequence[Reference], context: BuildContext) -> None:
    """Read all that registries serve under the names that were pushed. Raises CheckFailed."""
    for reference in references:
        with context.reporter.stage("verify"), allowing(MADE_HERE, unpacked=MADE_HERE):
            report = verify_reference(reference, None, context.registries, store=context.store)
            _let_through(str(reference), report, "the name leads there already: push again, or delete it there")


def _let_through(what: str, report: Report, hint: str) -> None:
    if report.findings:
        raise CheckFailed(what, report.findings, hint=hint)
