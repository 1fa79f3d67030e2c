#!/bin/sh
# Builds mypy.tar. Needs Python and ocibuild, no Docker: any CI pod will do.
#   mypy_build.sh [FILE]        FILE defaults to mypy.tar in the current folder
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-mypy.tar}
ocibuild=$(command -v ocibuild || echo "$here/../../.venv/bin/ocibuild")
[ -x "$ocibuild" ] || { echo "mypy_build.sh: no ocibuild found; run 'make mypy.tar' in the project first" >&2; exit 1; }

"$ocibuild" "$here" --out "$out"
# The digest travels beside the tar, so that the target can tell a cut-off copy.
(cd "$(dirname "$out")" && sha256sum "$(basename "$out")" >"$(basename "$out").sha256")
echo "built $out and $out.sha256; copy both and run mypy_load.sh there" >&2
