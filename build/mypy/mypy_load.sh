#!/bin/sh
# Loads mypy.tar and proves that it runs. Needs nothing but docker (20.10 or newer) on this machine.
#   mypy_load.sh [FILE]         FILE defaults to mypy.tar in the current folder; DOCKER names another client
set -eu
tar=${1:-mypy.tar}
docker=${DOCKER:-docker}
image=mypy:latest

[ -r "$tar" ] || { echo "mypy_load.sh: cannot read $tar" >&2; exit 1; }
if [ -r "$tar.sha256" ]; then
    (cd "$(dirname "$tar")" && sha256sum --check --status "$(basename "$tar").sha256") ||
        { echo "mypy_load.sh: $tar is not the file that was built; copy it again" >&2; exit 1; }
fi

$docker load --quiet --input "$tar"
# Exactly as the service runs it: no root, no network, nothing writable but /tmp.
$docker run --rm --read-only --tmpfs /tmp --network none --cap-drop ALL --security-opt no-new-privileges "$image" \
    python -c '
import os, sys
import matplotlib, numpy, openpyxl, pandas, PIL
assert os.getuid() == 1000, os.getuid()
print("mypy is ready: Python", sys.version.split()[0], "pandas", pandas.__version__, "numpy", numpy.__version__)
'
