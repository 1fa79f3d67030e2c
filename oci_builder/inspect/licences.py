"""What packages say of their licences: SPDX expressions where there are any, their own words elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.message import Message

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from oci_builder.inspect.installed import Licence

_LONGEST = 120
"""Characters; many a License field holds the licence itself."""

# The classifiers that mean one licence and no other; "BSD License" does not say which.
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}
_WORDS: Mapping[str, str] = {
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "mit license": "MIT",
    "the mit license": "MIT",
    "psf": "PSF-2.0",
}
_COPYRIGHT = re.compile(r"^License:(.*)$", re.MULTILINE)


def licence_of(metadata: Message) -> Licence:
    """The licence of a distribution: License-Expression, else the License field, else its classifiers."""
    expression = str(metadata.get("License-Expression") or "")
    if found := spdx(expression):
        return Licence(found, spdx=True)
    field = str(metadata.get("License") or "").strip()
    if found := spdx(field):
        return Licence(found, spdx=True)
    names = [
        str(line).rpartition("::")[2].strip()
        for line in metadata.get_all("Classifier") or ()
        if str(line).startswith("License ::")
    ]
    known = [_CLASSIFIERS[name] for name in names if name in _CLASSIFIERS]
    if known and len(known) == len(names):
        # Several classifiers may mean "and" or "or"; one means itself.
        return Licence(known[0], spdx=True) if len(known) == 1 else Licence(", ".join(known))
    # A field of many lines is the licence itself; its classifier says which one it is, if anything does.
    lines = [line.strip() for line in field.splitlines() if any(map(str.isalpha, line))]
    short = lines[0] if len(lines) == 1 else ""
    return Licence((expression or short or ", ".join(names) or next(iter(lines), ""))[:_LONGEST])


def spdx(text: str) -> str:
    """``text`` as an SPDX expression in its canonical spelling, or nothing."""
    text = text.strip()
    if not text or len(text) > _LONGEST or "\n" in text:
        return ""
    try:
        return str(canonicalize_license_expression(_WORDS.get(text.lower(), text)))
    except (InvalidLicenseExpression, ValueError):
        return ""


def debian_licences(copyright_file: str) -> Licence:
    """The short names in a machine-readable copyright file (copyright-format 1.0), in Debian's words."""
    if "copyright-format" not in copyright_file[:1000]:
        return Licence()
    names = dict.fromkeys(name for line in _COPYRIGHT.findall(copyright_file) if (name := line.strip(" \t")))
    text = ", ".join(names)
    return Licence(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
