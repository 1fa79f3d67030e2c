#!/bin/sh
# Loads mypy.tar, or an update of the image that is here, and proves that it runs. Needs nothing but docker (20.10 or
# newer) on this machine; the image that was mypy:latest is mypy:previous afterwards.
#   mypy_load.sh [FILE]         FILE defaults to mypy.tar in the current folder; DOCKER names another client (podman),
#                               IMAGE another image, with its tag
#   mypy_load.sh --receipt      prints what `ocibuild update` needs to know of the image that is here
set -eu
docker=${DOCKER:-docker}
image=${IMAGE:-mypy:latest}
previous=${image%:*}:previous
kept=${image%:*}:before-update

say() { echo "mypy_load.sh: $*" >&2; }
fail() { say "$*"; exit 1; }
id_of() { $docker image inspect --format '{{.Id}}' "$1" 2>/dev/null || true; }
layers_of() { $docker image inspect --format '{{json .RootFS.Layers}}' "$1" 2>/dev/null | tr -d '[]" '; }
packed() { case $tar in *.gz | *.tgz) gzip -dc "$tar" ;; *) cat "$tar" ;; esac; }
between() { sed -n "s/.*$1\([^]]*\)\].*/\1/p" | tr -d '" ' | tr ',' '\n'; }

if [ "${1:-}" = --receipt ]; then
    [ -n "$(id_of "$image")" ] || fail "there is no $image here; IMAGE names another"
    # These fields have the same names in podman.
    head='{"Id":"{{.Id}}","Os":"{{.Os}}","Architecture":"{{.Architecture}}"'
    exec $docker image inspect --format "$head"',"RootFS":{"Layers":{{json .RootFS.Layers}}}}' "$image"
fi

tar=${1:-mypy.tar}
[ -r "$tar" ] || fail "cannot read $tar"
if [ -r "$tar.sha256" ]; then
    (cd "$(dirname "$tar")" && sha256sum --check --status "$(basename "$tar").sha256") ||
        fail "$tar is not the file that was built; copy it again"
fi

# What the file names and does not hold has to be here before anything is changed: engines that lack it say "Loaded" and
# name an image that cannot run.
names=$(packed | tar -tf -) || fail "$tar is damaged or cut off; copy it again"
documents=$(packed | tar -xOf - manifest.json) || fail "$tar is no image file"
config=$(packed | tar -xOf - "$(printf %s "$documents" | sed -n 's/.*"Config":"\([^"]*\)".*/\1/p')") ||
    fail "$tar does not hold its configuration"
case $documents in
    *"$image\""*) ;;
    *) fail "$tar holds no image that is called $image; IMAGE names another" ;;
esac
diff_ids=$(printf %s "$config" | between '"diff_ids":\[')
number=0 missing='' lowest='' gap=''
for layer in $(printf %s "$documents" | between '"Layers":\['); do
    number=$((number + 1))
    if printf '%s\n' "$names" | grep -qxF "$layer"; then
        gap=yes
        continue
    fi
    diff_id=$(printf '%s\n' "$diff_ids" | sed -n "${number}p")
    missing="$missing $diff_id"
    [ -n "$gap" ] && gap=above || lowest="$lowest$diff_id,"
done

if [ -n "$missing" ]; then
    since=$(printf %s "$config" | sed -n 's/.*"dev\.ocibuild\.since":"\([^"]*\)".*/\1/p')
    found='' all=,
    for each in "$image" $($docker image ls --quiet --no-trunc | sort -u); do
        here=$(layers_of "$each"),
        all="$all$here"
        case $here in "$lowest"*) found=${found:-$each} ;; esac
    done
    if [ "$gap" = above ]; then
        case $($docker info --format '{{.DriverStatus}}' 2>/dev/null) in
            *io.containerd.snapshotter*) ;;
            *) fail "$tar is an update for containerd's image store, and this $docker has another; nothing was changed" ;;
        esac
        found=yes
        for each in $missing; do
            case $all in *",$each,"*) ;; *) found='' ;; esac
        done
    fi
    if [ -z "$found" ]; then
        for each in $missing; do
            case $all in *",$each,"*) ;; *) say "missing: layer $each" ;; esac
        done
        fail "$tar is an update of the image ${since:-with these layers}, which is not here; nothing was changed"
    fi
fi

before=$(id_of "$image")
[ -z "$before" ] || $docker tag "$image" "$kept"
back() {
    # As it was: the engine may have moved the name to an image that does not run.
    if [ -n "$before" ]; then
        $docker tag "$kept" "$image"
        $docker rmi "$kept" >/dev/null
        say "$image is what it was before"
    fi
    fail "$*"
}

trap 'back "interrupted"' HUP INT TERM
said=$($docker load --quiet --input "$tar" 2>&1) || back "$docker did not load $tar: $said"
case $said in *"Error unpacking"* | *"rror: "*) back "$docker did not unpack $tar: $said" ;; esac
echo "$said"
# Exactly as the service runs it: no root, no network, nothing writable but /tmp.
$docker run --rm --read-only --tmpfs /tmp --network none --cap-drop ALL --security-opt no-new-privileges "$image" \
    python -c '
import os, sys
import matplotlib, numpy, openpyxl, pandas, PIL
assert os.getuid() == 1000, os.getuid()
print("mypy is ready: Python", sys.version.split()[0], "pandas", pandas.__version__, "numpy", numpy.__version__)
' || back "the image of $tar does not run"

if [ -n "$before" ]; then
    # What is loaded again leaves the one before it where it is.
    [ "$before" = "$(id_of "$image")" ] || $docker tag "$kept" "$previous"
    $docker rmi "$kept" >/dev/null
fi
