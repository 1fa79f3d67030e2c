"""pip, given what ocibuild read of requirements files, hears what it hears in the files themselves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pip._internal.exceptions import PipError
from pip._internal.index.collector import LinkCollector
from pip._internal.index.package_finder import PackageFinder
from pip._internal.models.search_scope import SearchScope
from pip._internal.models.selection_prefs import SelectionPreferences
from pip._internal.network.session import PipSession
from pip._internal.req.constructors import install_req_from_parsed_requirement
from pip._internal.req.req_file import parse_requirements

from oci_builder.errors import OcibuildError
from oci_builder.wheels.requirements import read

ENVIRON = {
    "VERSION": "1.0",
    "HOUSE": "house",
    "OPTIONS": "--pre --find-links other",
    "WHOLE": "demo==1.0 --hash=sha256:00",
    "QUOTED": "'house'",
    "TOKEN": "t0ken",
    "PIP_MIRROR": "https://m.example/simple",
    "NESTED": "${VERSION}",
    "EMPTY": "",
}
LINES = [
    *(
        "demo==1.0",
        "demo == 1.0 # why",
        "demo>=1,<2; python_version > '3'",
        "Demo.X[a,b]~=1.0",
        "demo==${VERSION}",
        "demo",
    ),
    *(
        "${WHOLE}",
        "${OPTIONS}",
        "${NESTED}",
        "demo==${NESTED}",
        "demo==${NESTED} ; ${VERSION}",
        "${UNSET}",
        "demo${EMPTY}",
    ),
    *("--pre", "--pre demo", "demo --pre", "--pre --pre", "--require-hashes", "--no-require-hashes", "--prefer-binary"),
    *(
        "-i https://a.example/s",
        "--index-url=https://b.example/s",
        "-ihttps://c.example/s",
        "--index-u https://a.example",
    ),
    *("--pypi-url https://d.example", "-i 'https://a.example/s?x y'", "-i https://${TOKEN}@a.example/", "-i ''"),
    *(
        "--extra-index-url https://x.example -i https://a.example/s",
        "--extra-index-url\thttps://y.example",
        "--no-index",
    ),
    *(
        "--extra-index-url ${PIP_MIRROR}",
        "--extra-index-url https://x.example https://y.example",
    ),
    *(
        "-f house",
        "--find-links ./house/",
        "--find-links\thouse",
        "-f ${HOUSE}",
        "-f ${QUOTED}",
        "-f 'house'",
        '-f "other"',
    ),
    *(
        "-f house -f other",
        "-f = house",
        "--find-links=https://f.example/x",
        "--find-l house --pre",
        "-f file:house",
        "-f no",
    ),
    *("--trusted-host h.example", "--trusted-host h.example --trusted-host=g.example:80", "--only-binary=:all:"),
    *(
        "--hash=sha256:00",
        "demo --hash=sha256:00",
        "demo --hash=sha256:00 \\\n  --hash sha512:11",
        "demo --hash=md5:00",
    ),
    *(
        "-r more.txt",
        "-r sub/inner.txt",
        "--requirement\tmore.txt",
        "-rmore.txt",
        "--requirement=more.txt",
        "-r 'more.txt'",
    ),
    *("-c more.txt", "--constraint sub/inner.txt", "-c more.txt -r sub/inner.txt", "-r more.txt demo", "-r no.txt"),
    *(
        "-r sub/../more.txt",
        "-r link/../more.txt",
        "-r ${HOUSE}/../more.txt",
        "-r file://{here}/more.txt",
        "-c ./more.txt #",
    ),
    *(
        "./house/demo-1.0-py3-none-any.whl",
        "house/demo-1.0-py3-none-any.whl[x]",
        "demo @ file:house/demo-1.0-py3-none-any.whl",
    ),
    *("file:{here}/house/demo-1.0-py3-none-any.whl", "file:./house/demo-1.0-py3-none-any.whl ; python_version > '3'"),
    *("demo @ file://{here}/house/demo-1.0-py3-none-any.whl", "demo @ https://w.example/demo-1.0-py3-none-any.whl"),
    *(
        "HTTPS://w.example/demo-1.0-py3-none-any.whl",
        "demo @ HTTP://w.example/demo-1.0-py3-none-any.whl",
        "demo @ https://w.example/demo-1.0-py3-none-any.whl; python_version > '3'",
        "demo[x] @ file:house/demo-1.0-py3-none-any.whl;python_version > '3'",
    ),
    *("https://w.example/demo-1.0-py3-none-any.whl#sha256=00", "https://${TOKEN}@w.example/demo-1.0-py3-none-any.whl"),
    *(
        "demo -i https://z.example",
        "demo -r more.txt",
        "demo -f house",
        "demo --no-index",
        "demo --hash sha256:00 --pre x",
    ),
    *(
        "demo \\\n==1.0",
        "demo \\",
        "# comment \\",
        "  # comment",
        "",
        "\\",
        "demo\\\n",
        "demo # \\\n more",
        "de\\\nmo",
        "x==1 \\\n# y",
    ),
    *(
        "--unknown",
        "-x",
        "demo '",
        "--pre '",
        "-r",
        "demo==",
        "=1",
        "demo --unknown",
        "--p",
        "--no-b x",
        "-e .",
        "-C a=b",
        "é",
    ),
]
ALLOWED = (
    *("--no-binary", "--editable", "--config-settings", "--use-feature", "--only-binary"),
    *("a variable holds another", "there is no "),
)
"""What is refused although pip takes it, with a reason and a way out, or what pip refuses later."""

files = st.lists(st.sampled_from(LINES), max_size=5).map("\n".join)


class Heard:
    """What pip knows after it has read files."""

    def __init__(self, folder: Path, asked: list[tuple[str, bool]], environ: Mapping[str, str]) -> None:
        self.requirements: list[tuple[Any, ...]] = []
        self._session, self._folder = PipSession(), folder
        with contextlib.chdir(folder), mock.patch.dict(os.environ, environ, clear=True):
            self._finder = PackageFinder.create(
                link_collector=LinkCollector(self._session, SearchScope.create([], ["https://default.example"], False)),
                selection_prefs=SelectionPreferences(allow_yanked=False),
            )
            self._options = mock.Mock(require_hashes=False, no_require_hashes=False, features_enabled=[])
            for name, constraint in asked:
                self._read(name, constraint)

    def _read(self, name: str, constraint: bool) -> None:
        for parsed in parse_requirements(
            name, self._session, finder=self._finder, options=self._options, constraint=constraint
        ):
            made = install_req_from_parsed_requirement(parsed)
            link = str(made.link) if made.link else ""
            hashes = {key: sorted(set(values)) for key, values in made.hash_options.items()}
            self.requirements.append(
                (str(made.req), link, str(made.markers), sorted(made.extras), made.constraint, hashes)
            )

    @property
    def state(self) -> tuple[Any, ...]:
        """Where wheels are, and which may be chosen."""
        scope, control = self._finder.search_scope, self._finder.release_control
        # The same folder, however it is named: pip is run in the folder of the first file here, and elsewhere later.
        links = [os.path.normpath(self._folder / each.removeprefix("file:")) for each in scope.find_links]
        return (
            scope.index_urls,
            scope.no_index,
            links,
            sorted(self._session.pip_trusted_origins),
            self._finder.prefer_binary,
            control.all_releases if control else set(),
            self._options.require_hashes,
            self._options.no_require_hashes,
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where requirements lie: beside wheels, and other files to include."""
    here = tmp_path_factory.mktemp("files")
    for name in ("house", "other", "sub/house", "else/deep"):
        (here / name).mkdir(parents=True)
    (here / "house" / "demo-1.0-py3-none-any.whl").write_bytes(b"")
    (here / "link").symlink_to("else/deep")
    (here / "else" / "more.txt").write_text("behind-a-link\n")
    yield here


# pip leaves files open that it reads by file: URLs.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files, files, files)
@example("-f house -f other\n--extra-index-url https://x.example -i https://a.example/s", "", "")
@example("-r link/../more.txt\n-c sub/inner.txt", "demo", "-r ../more.txt")
def test_pip_hears_in_what_was_read_what_it_hears_in_the_files(folder: Path, top: str, more: str, inner: str) -> None:
    for name, text in (("requirements.txt", top), ("more.txt", more), ("sub/inner.txt", inner)):
        (folder / name).write_text(text.replace("{here}", str(folder)))
    theirs: Heard | None = None
    with contextlib.suppress(PipError, RecursionError):
        theirs = Heard(folder, [("requirements.txt", False)], ENVIRON)
    try:
        asked = read([folder / "requirements.txt"], environ=ENVIRON)
    except OcibuildError as error:
        assert theirs is None or str(error).find("-C") >= 0 or any(each in str(error) for each in ALLOWED), str(error)
        return
    assert theirs is not None, "pip takes what ocibuild takes"
    (folder / "asked.txt").write_text(
        "\n".join([*asked.options, *(x.raw for x in asked.lines if not x.constraint), ""])
    )
    (folder / "limits.txt").write_text("\n".join([*(x.raw for x in asked.lines if x.constraint), ""]))
    environ = {name: value for name, value in ENVIRON.items() if not name.startswith("PIP_")}
    ours = Heard(folder, [("asked.txt", False), ("limits.txt", True)], environ)
    key = repr
    assert sorted(ours.requirements, key=key) == sorted(theirs.requirements, key=key)
    assert ours.state == theirs.state
