"""x"""
from __future__ import annotations
from collections.abc import Mapping
from oci_builder.debian.shell import Call, Command
REGISTRIES: Mapping[str, Command] = {}
