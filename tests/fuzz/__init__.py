"""Parsers fed with anything: each ends, with a value or with an error of ours."""
