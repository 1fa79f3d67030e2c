"""Addresses and texts with addresses in them, as they may be shown: without what only their server should read."""

from __future__ import annotations

import re
import urllib.parse

_CREDENTIALS = re.compile(r"(?<=://)[^/\s'\"]+@")
_URL = re.compile(r"(https?://[^\s'\"]+)")
_QUERY = re.compile(r"\?[^#)]+")


def redacted(url: str) -> str:
    """``url`` without user, password, query and fragment."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "an address that does not read"  # nor can a password in it be told apart
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def redact_text(text: str) -> str:
    """``text``, which somebody else wrote, without credentials and query strings in its URLs."""
    return _URL.sub(lambda found: _QUERY.sub("", found[1], count=1), _CREDENTIALS.sub("****@", text))
