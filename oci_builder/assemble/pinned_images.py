"""Images of registries that a recipe names by tags: which digest each means now, or did when it was locked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from oci_builder import inputs
from oci_builder.assemble.context import BuildContext, BuildPolicy
from oci_builder.assemble.foreign_locks import has_own_lock
from oci_builder.assemble.image_lock import image_lock_text, moves, read_image_lock
from oci_builder.bases import find_named
from oci_builder.digest import Digest
from oci_builder.errors import FileProblem, NotFound, StaleLock
from oci_builder.files import is_closed
from oci_builder.outputs import atomic
from oci_builder.recipes import ImageSource
from oci_builder.reference import Reference
from oci_builder.registry.pulling import resolve
from oci_builder.wheels import lock as locks


@dataclass(frozen=True)
class ImagePinning:
    """Gives the images that a recipe names their digests."""

    source: ImageSource
    context: BuildContext
    policy: BuildPolicy

    def pinned(self, reference: Reference, *, beside: Path, what: str = "base") -> Reference:
        """``reference`` with the digest it has today; the lock's where nobody may ask, or nobody wants to know.

        A download may have put the image into ``beside``. Raises NotFound, StaleLock, RegistryError.
        """
        policy = self.policy
        if reference.digest is not None:
            return reference
        locked = self._locked(reference)
        if policy.frozen or self._is_carried(beside):
            known = locked or find_named(beside, reference)
            if known is not None:
                return replace(reference, digest=known)
        if policy.frozen or policy.offline:
            raise self._unknown(reference, what)
        for pin in (policy.base_pin, *policy.copied_pins):
            if pin.startswith(f"{reference}@"):
                return replace(reference, digest=locked or Reference.parse(pin).digest)
        today = resolve(reference, self.context.registries)
        if today is None:
            raise NotFound("image", str(reference), searched=(reference.registry,), hint="check its name and tag")
        inputs.note_tag(str(reference), str(today.digest))
        if policy.locked and locked not in (None, today.digest):
            why = f"the {what} {reference} was {locked}, and its tag has moved to {today.digest}"
            hint = f"take the new one with: ocibuild lock {self.source.called}; or name the old one by its digest"
            raise StaleLock(str(self._lock), why, hint=hint)
        if policy.update_lock and not policy.locked:
            self._bring_up_to_date(reference, today.digest)
        return replace(reference, digest=today.digest)

    @property
    def _lock(self) -> Path:
        return self.source.lock if has_own_lock(self.source) else self.source.image_lock

    def _bring_up_to_date(self, reference: Reference, digest: Digest) -> None:
        """Have the lock of images say what a tag names today, if there is one; that of wheels is seen to elsewhere."""
        path = self.source.image_lock
        if has_own_lock(self.source) or not inputs.is_file(path):
            return
        known = read_image_lock(path)
        now = {**known, str(reference): digest}
        if now == known:
            return
        try:
            with atomic(path) as sink:
                sink.write(image_lock_text(now))
        except FileProblem as error:
            if not is_closed(error):
                raise
            self.context.reporter.note(f"{path} could not be written, {error.why}; this run goes by what it would say")
        else:
            self.context.reporter.note(f"{path.name} was behind: {', '.join(moves(known, now))}")

    def _unknown(self, reference: Reference, what: str) -> StaleLock:
        why = f"it has no digest of the {what} {reference}, and a registry is not to be asked"
        name = self.source.called
        hint = f"with a network: ocibuild download {name}, which brings it too, or ocibuild lock --online {name}"
        return StaleLock(str(self._lock), why, hint=hint)

    def _is_carried(self, beside: Path) -> bool:
        """Whether what was brought beside the recipe says which image is meant, so that its tag is not looked up."""
        offline = self.policy.offline
        carried = inputs.is_dir(self.source.wheels) or inputs.is_dir(beside)
        return offline is not False and (bool(offline) or carried)

    def _locked(self, reference: Reference) -> Digest | None:
        """The digest that the lock has for ``reference``."""
        if not has_own_lock(self.source) and inputs.is_file(self.source.image_lock):
            return read_image_lock(self.source.image_lock).get(str(reference))
        if not inputs.is_file(self.source.lock):
            return None
        lock = locks.read(self.source.lock)
        for pin in (lock.base, *lock.images):
            if pin.startswith(f"{reference}@"):
                return Reference.parse(pin).digest
        return None
