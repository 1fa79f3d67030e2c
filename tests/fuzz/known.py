"""Crashes that are known and not mended yet: by target and signature, each with what happens."""

from __future__ import annotations

KNOWN: dict[str, dict[str, str]] = {
    "layer": {"UnicodeEncodeError in foreign/layers.py:_read": "the index takes no name that is not UTF-8"},
    "layer-record": {
        "KeyError in layer/value.py:_entry": "a record with a kind of entry that there is not",
        "RecursionError in layer/records.py:parse_record": "a record that is thousands of levels deep",
    },
    "removal": {"Error in foreign/installed.py:_files": "a RECORD that the csv module does not read"},
    "requirements": {"ValueError in wheels/requirements.py:_lines": "NUL in the path of an included file"},
    "wheel": {"IndexError in wheels/archive.py:<listcomp>": "a zip entry without a name"},
}
