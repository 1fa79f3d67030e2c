"""The gate on the way out: what a recipe says of it, and what becomes of what it finds."""

from __future__ import annotations

from oci_builder.bases import Base, library_supplier
from oci_builder.check.finding import Allowance, Gated, summary
from oci_builder.check.gate import Ground, Rules, gate
from oci_builder.errors import CheckFailed
from oci_builder.image import Image
from oci_builder.listener import Listener
from oci_builder.recipes import AllowRecipe, ImageRecipe
from oci_builder.store import Store

_LINES = 5
"""Lines of warnings that a build says; ``ocibuild check`` says them all."""


def judge(recipe: ImageRecipe, image: Image, base: Base, *, store: Store, imports: bool = False) -> Gated:
    """What is wrong with ``image``, and what of it the recipe allows. Raises DigestMismatch for a damaged layer."""
    allow = tuple(map(_allowance, recipe.checks.allow))
    rules = Rules(allow=allow, max_size=recipe.max_bytes, imports=imports)
    ground = Ground(layers=base.layers, tree=base.tree, target=base.target if base.promise else None)
    return gate(image, ground, rules=rules, supplier=library_supplier(base), store=store)


def let_through(gated: Gated, recipe: ImageRecipe, listener: Listener) -> None:
    """Say the warnings, in a few lines. Raises CheckFailed with the errors, if there are any."""
    if gated.errors:
        raise refusal(gated, recipe)
    for line in summary(gated.warnings, limit=_LINES):
        listener.note(f"warning: {line}")


def refusal(gated: Gated, recipe: ImageRecipe) -> CheckFailed:
    """The errors, each said with the others' hints, as the error that says them."""
    packages = list(dict.fromkeys(finding.supplier for finding in gated.errors if finding.supplier))
    hints = [f"add to image.toml: base-packages = [{', '.join(map(_quoted, packages))}]"] if packages else []
    hints += list(dict.fromkeys(finding.hint for finding in gated.errors if finding.hint))
    allow = "what is right as it is can be allowed in image.toml, with a reason: [checks] allow"
    lines = [finding.message for finding in gated.errors]
    return CheckFailed(f"{recipe.name} would not run as it is", lines, hint="; ".join([*hints, allow]))


def _quoted(text: str) -> str:
    return f'"{text}"'


def _allowance(recipe: AllowRecipe) -> Allowance:
    return Allowance(
        reason=recipe.reason,
        finding=recipe.finding or "",
        library=recipe.library or "",
        package=recipe.package or "",
        subject=recipe.subject or "",
    )
