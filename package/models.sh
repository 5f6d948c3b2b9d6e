#!/usr/bin/env bash
# The model files that go into a package: `models.sh ARCH MODEL SPOTTER [--accept-license LICENCE]…` prints their paths, the
# one to run first. MODEL is a file, a name of the catalogue, `none`, or `recommended`: what Axis recommends for the chips
# of ARCH and Spotter's catalogue has with a free licence. SPOTTER is the program that downloads and checks it.
# A model for the Edge TPU brings its twin for the processor along: not every ARTPEC-7 has an Edge TPU.
set -euo pipefail

die() {
    printf 'models.sh: %s\n' "$*" >&2
    exit 1
}
[[ $# -ge 3 ]] || die "usage: models.sh aarch64|armv7hf MODEL SPOTTER [--accept-license LICENCE]…"
arch=$1 model=$2 spotter=$3
shift 3

case $model in
none) exit 0 ;;
recommended)
    case $arch in
    aarch64) names=(ssd-mobilenet-v2-coco) ;;
    armv7hf) names=(ssd-mobilenet-v2-coco-edgetpu) ;;
    *) die "no architecture '$arch'; give aarch64 or armv7hf" ;;
    esac
    ;;
*)
    if [[ -f $model ]]; then
        printf '%s\n' "$model"
        exit 0
    fi
    names=("$model")
    ;;
esac
if [[ ${names[0]} == *-edgetpu ]]; then names+=("${names[0]%-edgetpu}"); fi

paths=()
for name in "${names[@]}"; do
    if said=$("$spotter" models fetch "$name" "$@" 2>&1) && path=$("$spotter" models path "$name" 2>&1); then
        paths+=("$path")
        continue
    fi
    why=$(sed -n 's/.*error: //p' <<<"$said" | tail -n 1)
    if [[ $model != recommended ]]; then die "there is no model $name to pack: ${why:-$said}"; fi
    printf 'warning: the package for %s has no model, for %s cannot be had: %s\n' "$arch" "$name" "${why:-$said}" >&2
    printf 'warning: add it later with ./build.sh eap %s, or send a model on the page; --model none leaves it out\n' \
        "$arch" >&2
    exit 0
done
printf '%s\n' "${paths[@]}"
