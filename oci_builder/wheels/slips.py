"""What somebody may have meant by a line that is no requirement, told from its form.

Nothing of a line is ever in what is said: it may be of any file of this machine.
"""

from __future__ import annotations

import re
import sys

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

_LONGEST = 200
"""Letters of a line that are looked at."""

_NAME = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?"
_VERSION = r"v?\d[\w.*+!-]*"
_RELATION = r"(?:===|==|~=|!=|<=|>=|<|>)"

_LANGUAGES: tuple[tuple[str, str], ...] = (
    (
        r"\[[\w.-]+\]$",
        "this is a table of another tool's file (Pipfile, pyproject.toml): name that file instead, "
        'requirements = ["../../pyproject.toml"], or write a requirement a line, as in NAME==1.2',
    ),
    (
        r"[\[{].*[\]}]?\s*,?$|[\]}],?$|\".*\"\s*:\s*[\"{\[]",
        "this is JSON or TOML: a requirement a line is what it takes, as in NAME==1.2",
    ),
    (
        r"(?:dependencies|channels|name|prefix)\s*:|-\s+\S",
        "this is an environment of conda's: write what of it is from "
        "PyPI, a requirement a line, without dashes; the Python itself comes with the base",
    ),
    (
        r"(?:python\d?(?:\.\d+)?\s+-m\s+)?(?:pip\d?|uv|poetry|pipenv|pdm|conda)\s+(?:pip\s+)?(?:install|add)\b",
        "leave the command out: the name of the package alone, as in NAME==1.2",
    ),
    (
        r"(?:import|from)\s+\w",
        "this is Python: write the name of the package, as on PyPI, and not what is imported of it",
    ),
    (r"FROM\s|RUN\s|COPY\s", "this is a Dockerfile: ocibuild init, in its folder, writes the recipe that it is"),
    (r"//|/\*|;|%|--\s|<!--", "write comments behind a #"),
    (r"(?:git|ssh)@", "write git+https://…, and build a wheel of it: pip wheel --no-deps -w dist URL"),
)
"""How other files begin, and what is written here instead."""

_FORMS: tuple[tuple[str, str], ...] = (
    (".*[“”„‘’‚«»]", "write straight quotes: programs that write letters make others of them"),
    (
        ".*[\u00a0\u200b\u200c\u200d\ufeff\u2007\u202f]",
        "a blank here is none that a keyboard writes: type the line anew",
    ),
    (".*[–—−]", "a dash here is none that a keyboard writes: type the line anew, with -"),
    (
        r"(?:[^;=]|[=<>!~]=)*+;.*\b(?:python_version|sys_platform|platform_\w+|os_name|extra|implementation_name)\b",
        'write a marker with quotes and two equals signs, as in NAME; python_version < "3.12"',
    ),
    (r".*\s//", "write comments behind a #"),
    (rf"{_NAME}.*\d\.x\b", "any version that begins so is NAME==1.2.*"),
    (rf"{_NAME}\s*{_RELATION}\s*{_VERSION}\s+{_RELATION}", "put a comma between two bounds: NAME>=1,<2"),
    (rf"{_NAME}\s+{_VERSION}$", "a version stands behind two equals signs: NAME==VERSION"),
    (rf"{_NAME}(?:\[[^\]]*\])?\s*=>|{_NAME}.*(?:=<|><)", "did you mean `>=` or `<=`? The equals sign stands last"),
    (rf"{_NAME}(?:\[[^\]]*\])?\s*(?:(?:==?|~=)\s*)?\^\s*=?", "`^` is Poetry's and npm's: NAME>=3,<4 is what ^3 means"),
    (rf"{_NAME}\s*~\s*\d|{_NAME}\s*~>", "did you mean `~=`? NAME~=3.1 is 3.1 or newer, and older than 4"),
    (rf"{_NAME}(?:\[[^\]]*\])?\s*(?:==?|>=)\s*[\"']", "take the quotes away: NAME==1.2 has none"),
    (
        rf"{_NAME}\s*(?:==?|>=|:|@)\s*[\"']?(?:latest|newest|any|\*)[\"']?$",
        "the name alone asks for the newest version",
    ),
    (rf"{_NAME}(?:\[[\w., -]*\])?\s*=(?!=)", "did you mean `==`? A version is set with two: NAME==VERSION"),
    (rf"{_NAME}@{_VERSION}$|{_NAME}:{_VERSION}$", "a version stands behind two equals signs: NAME==VERSION"),
    (r"[\"'].*[\"']\s*,?$", "take the quotes and commas away: a requirement a line is what it takes"),
    (rf"{_NAME}(?:\[[\w., -]*\])?\s*{_RELATION}\s*(?:[A-Za-z]|$)", "a version begins with a digit, as in NAME==1.2"),
    (
        rf"{_NAME}(?:\s*{_RELATION}\s*{_VERSION})?\s*(?:,|\s)\s*{_NAME}(?:[\s,=<>~!].*)?$",
        "one requirement a line: write each name in a line of its own",
    ),
    (rf"{_NAME}.*,\s*$", "take the comma at the end of the line away"),
    (rf"{_NAME}.*;\s*$", "take the semicolon at the end of the line away"),
    (rf"{_NAME}\s*\(", "write the version without brackets: NAME>=1,<2"),
)
"""Slips within a line, the likeliest first, and what to write instead."""

_RENAMED = {
    "sklearn": "scikit-learn",
    "cv2": "opencv-python-headless",
    "pil": "pillow",
    "bs4": "beautifulsoup4",
    "yaml": "pyyaml",
    "dotenv": "python-dotenv",
    "skimage": "scikit-image",
    "dateutil": "python-dateutil",
    "crypto": "pycryptodome",
    "mysqldb": "mysqlclient",
    "serial": "pyserial",
    "usb": "pyusb",
    "jwt": "pyjwt",
    "git": "gitpython",
    "attr": "attrs",
    "fitz": "pymupdf",
    "magic": "python-magic",
    "docx": "python-docx",
    "pptx": "python-pptx",
    "telegram": "python-telegram-bot",
    "zmq": "pyzmq",
    "win32api": "pywin32",
    "google-protobuf": "protobuf",
    "opencv": "opencv-python-headless",
}
"""What is imported, and the distribution that brings it."""


def hint_of_line(text: str) -> str:
    """What to write instead of ``text``, which is no requirement."""
    # Nobody slips in the hundreds; what is longer would take the patterns long.
    stripped = text.strip()[:_LONGEST]
    if re.search(r"\$\{[A-Z0-9_]+\}", stripped):
        return "a variable in it is not set, or empty, and stands there as it is: export it, or write its value"
    if re.search(r"\$[A-Za-z_]|\$\{", stripped):
        return "a variable is written as ${NAME}, in capitals: others are none for pip"
    for pattern, hint in (*_LANGUAGES, *_FORMS):
        if re.match(pattern, stripped):
            return hint
    return "write a requirement a line, as in NAME, NAME==1.2 or NAME>=2,<3"


def is_version(text: str) -> bool:
    """Whether what stands where an address goes is a version, as npm has it."""
    return re.fullmatch(_VERSION, text) is not None


def why_not(parsed: Requirement) -> tuple[str, str] | None:
    """Why nothing can ever be what a requirement asks for, and what to do; None where something may."""
    if parsed.name.lower() in ("python", "python3", "cpython") and parsed.url is None:
        hint = 'take the line out; which Python it is says base = "python-3.11" in image.toml, or --base'
        return f"{parsed.name} is no package: the Python comes with the base", hint
    if parsed.marker is None and _is_empty(parsed.specifier):
        return f"no version is all of {parsed.specifier}", "let the ranges overlap, as in NAME>=2,<3"
    return None


def hint_of_options(text: str) -> str:
    """What to write instead of a line with words that begin with a dash, and are no options."""
    if re.match(r"-\s", text):
        return "take the dash away: lists with dashes are conda's and YAML's, a requirement a line is what it takes"
    if re.match(r"--?\s|---", text):
        return "write comments behind a #"
    if text.startswith("-"):
        return "taken are -r, -c, --index-url, --extra-index-url, --find-links, --no-index, --pre and --hash"
    return hint_of_line(text)


def hint_of_name(name: str) -> str | None:
    """What to do about a name that no index has: of the standard library, or of what a distribution brings."""
    module = name.lower().replace("-", "_")
    if known := _RENAMED.get(name.lower()) or _RENAMED.get(module):
        return f"on PyPI it is called {known}: write that"
    if module == "tkinter":
        return 'it comes with Debian: base-packages = ["python3-tk"] in image.toml, and no such line'
    if module in sys.stdlib_module_names or module.split(".")[0] in sys.stdlib_module_names:
        return "it is of Python's standard library, which the base has: take the line out"
    return None


def hint_of_version(specifier: str) -> str | None:
    """What to do about a version that an index has not: those with a + are on an index of their own."""
    local = re.search(r"==[^,]*\+[A-Za-z]", specifier)
    if local is None:
        return None
    return (
        "versions with a + are on an index of their own: write --extra-index-url and its address in a line of its own, "
        "as whoever publishes them says, or leave the + and what follows out"
    )


def _is_empty(specifier: SpecifierSet) -> bool:
    """Whether the bounds of a range leave no version between them; what is no plain bound is passed over."""
    lower: list[tuple[Version, bool]] = []
    upper: list[tuple[Version, bool]] = []
    for each in specifier:
        try:
            version = Version(each.version)
        except InvalidVersion:
            continue
        if each.operator in (">=", ">", "=="):
            lower.append((version, each.operator != ">"))
        if each.operator in ("<=", "<", "=="):
            upper.append((version, each.operator != "<"))
    if not lower or not upper:
        return False
    least, most = max(lower, key=lambda pair: (pair[0], not pair[1])), min(upper)
    return least[0] > most[0] or (least[0] == most[0] and not (least[1] and most[1]))
