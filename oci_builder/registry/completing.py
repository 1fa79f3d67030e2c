"""What is pushed in part: the rest is looked for in the registry before anything goes there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from oci_builder.digest import Digest
from oci_builder.errors import RegistryError
from oci_builder.oci.documents import Descriptor
from oci_builder.oci.jsonio import MAX_DOCUMENT
from oci_builder.reference import Reference
from oci_builder.registry.registries import Registries
from oci_builder.registry.request import Request
from oci_builder.registry.transfer import Progress, in_parallel
from oci_builder.reporter import Quiet
from oci_builder.wording import counted

_MOST_NAMED = 5
_REFUSED = (401, 403)


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What has to be in registries already: the blobs ``absent`` from what is pushed, called ``what`` in messages.

    ``beside`` are images whose repositories may have a blob as well; in which registry, the one that is pushed to says.
    """

    what: str
    absent: Sequence[Descriptor]
    beside: Sequence[Reference]
    registries: Registries
    jobs: int

    def sources(self, references: Sequence[Reference]) -> Mapping[Digest, Reference]:
        """Where each of the blobs can be mounted from that a repository of ``references`` lacks.

        Raises RegistryError, naming the blobs, where one of the repositories would not be complete.
        """
        found: dict[Digest, Reference] = {}
        for reference in dict.fromkeys(references):
            lacking = self._lacking(self.absent, reference, "pull,push")
            for neighbour in self._neighbours(reference, references) if lacking else ():
                left = self._lacking(lacking, neighbour, "pull")
                found.update({blob.digest: neighbour for blob in lacking if blob not in left})
                lacking = left
            if lacking:
                raise self._incomplete(reference, lacking)
        return found

    def _neighbours(self, reference: Reference, others: Sequence[Reference]) -> Iterable[Reference]:
        """Other repositories of the same registry: those pushed to, and those that the image was in elsewhere."""
        here = [each for each in others if each.registry == reference.registry]
        here += [replace(reference, repository=each.repository) for each in self.beside]
        return {each.repository: each for each in here if each.repository != reference.repository}.values()

    def _lacking(self, blobs: Sequence[Descriptor], reference: Reference, rights: str) -> list[Descriptor]:
        there: dict[Digest, bool] = {}
        scopes = frozenset({f"repository:{reference.repository}:{rights}"})

        def ask(blob: Descriptor) -> None:
            try:
                there[blob.digest] = self._is_there(blob, reference, scopes)
            except RegistryError as error:
                # What we may not read beside the repository that we push to is as good as not there.
                if error.status not in _REFUSED or rights != "pull":
                    raise
                there[blob.digest] = False

        in_parallel([partial(ask, blob) for blob in blobs], jobs=self.jobs, progress=Progress(Quiet(), total=0))
        return [blob for blob in blobs if not there[blob.digest]]

    def _is_there(self, blob: Descriptor, reference: Reference, scopes: frozenset[str]) -> bool:
        client = self.registries.of(reference)
        deadline = client.access.retry_policy.deadline()
        url = client.address(reference, f"blobs/{blob.digest}")
        request = Request(method="HEAD", url=url, scopes=scopes, accept=(200, 404))
        answer = client.retry(lambda: client.once(request, deadline), deadline)
        client.read(answer, MAX_DOCUMENT, deadline)
        return answer.status_code == 200

    def _incomplete(self, reference: Reference, lacking: Sequence[Descriptor]) -> RegistryError:
        place = f"{reference.registry}/{reference.repository}"
        named = [f"{blob.digest} ({blob.size} bytes)" for blob in lacking[:_MOST_NAMED]]
        named += [f"and {len(lacking) - _MOST_NAMED} more"] if len(lacking) > _MOST_NAMED else []
        count = counted(len(lacking), "blob")
        why = f"{self.what} leaves out {count} that {place} lacks, and nothing was pushed: {', '.join(named)}"
        hint = f"push the image to {place} first that it is an update of, or push the new image whole"
        return RegistryError("push to", str(reference), why, hint=hint)
