"""What is installed in an image: Python distributions and Debian packages in one list, and whose each file is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from packaging.utils import canonicalize_name

from oci_builder.errors import NotFound
from oci_builder.inspect.contents import ImageContents
from oci_builder.inspect.distributions import distributions
from oci_builder.inspect.dpkg import debian_packages
from oci_builder.inspect.installed import Package


@dataclass(frozen=True)
class Inventory:
    """The packages of an image: distributions first, each kind by name."""

    contents: ImageContents
    packages: tuple[Package, ...]

    @cached_property
    def owners(self) -> Mapping[str, Package]:
        """Whose each path is; the first package that lists it has it."""
        found: dict[str, Package] = {}
        for package in self.packages:
            for path in package.files:
                found.setdefault(path, package)
        # Bytecode is made after packages were, and no list has it: it is whose its module is.
        for path in self.contents.tree:
            if path.endswith(".pyc") and path not in found:
                owner = found.get(_module_of(path))
                if owner is not None:
                    found[path] = owner
        return found

    @cached_property
    def sizes(self) -> Mapping[Package, Mapping[int, int]]:
        """Bytes of each package's files by the number of the layer that holds them."""
        sizes: dict[Package, dict[int, int]] = {package: {} for package in self.packages}
        for path, package in self.owners.items():
            record = self.contents.tree[path]
            sizes[package][record.layer] = sizes[package].get(record.layer, 0) + record.size
        return sizes

    def size(self, package: Package) -> int:
        """Bytes of a package's files."""
        return sum(self.sizes[package].values())

    def layers(self, package: Package) -> tuple[int, ...]:
        """The numbers of the layers that hold a package's files."""
        return tuple(sorted(self.sizes[package]))

    def find(self, name: str) -> Package:
        """The package called ``name``; a distribution before a Debian package. Raises NotFound."""
        wanted = canonicalize_name(name)
        for package in self.packages:
            if package.name == wanted or package.name == name:
                return package
        near = [each.name for each in self.packages if wanted in each.name or each.name in wanted]
        hint = f"there is {', '.join(near[:5])}" if near else "`ocibuild inspect FILE` lists what there is"
        raise NotFound("package", name, searched=[self.contents.name], hint=hint)


def _module_of(path: str) -> str:
    """``x/__pycache__/y.cpython-311.pyc`` to ``x/y.py``."""
    folder, _, name = path.rpartition("/")
    return f"{f'/{folder}'.removesuffix('/__pycache__')}/{name.partition('.')[0]}.py".lstrip("/")


def inventory(contents: ImageContents) -> Inventory:
    """All packages of an image; what does not read as one is left out."""
    return Inventory(contents, (*distributions(contents), *debian_packages(contents)))
