#!/bin/sh
# Loads mypy.tar, or an update of the image that is here, and proves that it runs. Needs nothing but docker (20.10 or
# newer), podman or containerd's ctr on this machine; the image that was mypy:latest is mypy:previous afterwards.
#   mypy_load.sh [FILE]         FILE defaults to mypy.tar in the current folder; IMAGE names another image, with its tag,
#                               DOCKER another client than the first of docker, podman and ctr: "ctr -n k8s.io"
#   mypy_load.sh --receipt      prints what `ocibuild update` needs to know of the image that is here
set -eu
say() { echo "mypy_load.sh: $*" >&2; }
fail() { say "$*"; exit 1; }

docker=${DOCKER:-}
for each in docker podman ctr; do
    [ -n "$docker" ] || ! command -v "$each" >/dev/null || docker=$each
done
[ -n "$docker" ] || fail "there is no docker here, no podman and no ctr; DOCKER names another"
name=${IMAGE:-mypy:latest}
image=$name
case " $docker " in
    *" ctr "* | *"/ctr "*)
        engine=ctr
        # ctr knows images by their full names alone.
        case $image in
            *.*/* | *:*/* | localhost/*) ;;
            */*) image=docker.io/$image ;;
            *) image=docker.io/library/$image ;;
        esac
        ;;
    *) engine=docker ;;
esac
previous=${image%:*}:previous
kept=${image%:*}:before-update

id_of() {
    case $engine in
        ctr) $docker images ls "name==$1" 2>/dev/null | tr -s ' \t' '\n\n' | grep '^sha256:' | head -n 1 || true ;;
        *) $docker image inspect --format '{{.Id}}' "$1" 2>/dev/null || true ;;
    esac
}
tag() { case $engine in ctr) $docker images tag --force "$@" >/dev/null ;; *) $docker tag "$@" ;; esac }
untag() { case $engine in ctr) $docker images rm "$1" ;; *) $docker rmi "$1" ;; esac >/dev/null; }
load() { case $engine in ctr) packed | $docker images import - ;; *) $docker load --quiet --input "$tar" ;; esac }
# Exactly as the service runs it: no root, no network, nothing writable but /tmp.
run() {
    case $engine in
        ctr)
            # Without root and without new privileges, capabilities are nobody's.
            $docker run --rm --read-only --mount type=tmpfs,src=tmpfs,dst=/tmp,options=nosuid:nodev:mode=1777 \
                "$image" "check-$$" "$@"
            ;;
        *)
            $docker run --rm --read-only --tmpfs /tmp --network none --cap-drop ALL \
                --security-opt no-new-privileges "$image" "$@"
            ;;
    esac
}
value() { tr -d ' \t\n' | sed -n "s/.*$1\([^\"]*\)\".*/\1/p"; }
layers_of() { $docker image inspect --format '{{json .RootFS.Layers}}' "$1" 2>/dev/null | tr -d '[]" '; }
packed() { case $tar in *.gz | *.tgz) gzip -dc "$tar" ;; *) cat "$tar" ;; esac; }
between() { sed -n "s/.*$1\([^]]*\)\].*/\1/p" | tr -d '" ' | tr ',' '\n'; }

if [ "${1:-}" = --receipt ]; then
    [ -n "$(id_of "$image")" ] || fail "there is no $image here; IMAGE names another"
    if [ "$engine" = ctr ]; then
        id=$(id_of "$image")
        config=$($docker content get "$id" | value '"config":{[^}]*"digest":"')
        [ -n "$config" ] || fail "$image is for several platforms; name the image of one"
        config=$($docker content get "$config" | tr -d ' \t\n')
        os=$(echo "$config" | value '"os":"') architecture=$(echo "$config" | value '"architecture":"')
        layers=$(echo "$config" | sed -n 's/.*"diff_ids":\(\[[^]]*\]\).*/\1/p')
        head="{\"Id\":\"$id\",\"Os\":\"$os\",\"Architecture\":\"$architecture\""
        echo "$head,\"RootFS\":{\"Layers\":$layers}}"
        exit
    fi
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
    *"$name\""*) ;;
    *) fail "$tar holds no image that is called $name; IMAGE names another" ;;
esac
diff_ids=$(printf %s "$config" | between '"diff_ids":\[')
number=0 missing='' blobs='' lowest='' gap=''
for layer in $(printf %s "$documents" | between '"Layers":\['); do
    number=$((number + 1))
    if printf '%s\n' "$names" | grep -qxF "$layer"; then
        gap=yes
        continue
    fi
    diff_id=$(printf '%s\n' "$diff_ids" | sed -n "${number}p")
    missing="$missing $diff_id"
    blobs="$blobs sha256:${layer##*/}"
    [ -n "$gap" ] && gap=above || lowest="$lowest$diff_id,"
done

if [ -n "$missing" ]; then
    since=$(printf %s "$config" | sed -n 's/.*"dev\.ocibuild\.since":"\([^"]*\)".*/\1/p')
    found='' all=,
    if [ "$engine" = ctr ]; then
        # containerd knows each layer by its bytes, whichever image it came with.
        missing=$blobs gap=above
        all=,$($docker content ls --quiet | tr '\n' ',')
    else
        for each in "$image" $($docker image ls --quiet --no-trunc | sort -u); do
            here=$(layers_of "$each"),
            all="$all$here"
            case $here in "$lowest"*) found=${found:-$each} ;; esac
        done
        [ "$gap" != above ] || case $($docker info --format '{{.DriverStatus}}' 2>/dev/null) in
            *io.containerd.snapshotter*) ;;
            *) fail "$tar is an update for containerd's image store, and this $docker has another; nothing was changed" ;;
        esac
    fi
    if [ "$gap" = above ]; then
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
[ -z "$before" ] || tag "$image" "$kept"
back() {
    # As it was: the engine may have moved the name to an image that does not run.
    if [ -n "$before" ]; then
        tag "$kept" "$image"
        untag "$kept"
        say "$image is what it was before"
    elif [ -n "$(id_of "$image")" ]; then
        untag "$image" || say "$image is an image that does not run"
    fi
    fail "$*"
}

trap 'back "interrupted"' HUP INT TERM
said=$(load 2>&1) || back "$docker did not load $tar: $said"
case $said in *"Error unpacking"* | *"rror: "*) back "$docker did not unpack $tar: $said" ;; esac
echo "$said"
run python -c '
import os, sys
import matplotlib, numpy, openpyxl, pandas, PIL
assert os.getuid() == 1000, os.getuid()
print("mypy is ready: Python", sys.version.split()[0], "pandas", pandas.__version__, "numpy", numpy.__version__)
' || back "the image of $tar does not run"

if [ -n "$before" ]; then
    # What is loaded again leaves the one before it where it is.
    [ "$before" = "$(id_of "$image")" ] || tag "$kept" "$previous"
    untag "$kept"
fi
