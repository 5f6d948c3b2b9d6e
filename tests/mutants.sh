#!/usr/bin/env bash
# Do the tests see what matters? Each mutant is a copy of the sources with one mistake of the kind that
# gives plausible but wrong pictures or boxes. The fast tests must fail for every one of them.
#
# All mistakes are in spotter-core, so that crate alone is compiled and tested, without debug information; from the second
# mutant on incrementally, so that little but what the mistake touches is compiled anew.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tree=$root/target/mutants/tree
# The same folder as the tests': what they are made of besides Spotter is compiled there already.
export CARGO_TARGET_DIR=$root/target CARGO_TERM_PROGRESS_WHEN=never CARGO_INCREMENTAL=1 CARGO_PROFILE_DEV_DEBUG=0
tests=(--locked --package spotter-core --lib --test core)

rm -rf "$tree"
mkdir -p "$tree"
(cd "$root" && git ls-files -z | xargs -0 cp --parents -t "$tree" 2>/dev/null) || true
cd "$tree"
if [[ -e $root/../shared ]]; then ln -sfn "$(cd "$root/../shared" && pwd)" "$root/target/mutants/shared"; fi

survived=()

# mutant NAME FILE SED-EXPRESSION: what must be found, where, and the mistake.
mutant() {
    local name=$1 file=$2 change=$3
    cp "$root/$file" "$file"
    sed -i "$change" "$file"
    if cmp -s "$root/$file" "$file"; then
        echo "mutants: \"$name\" changes nothing in $file; its expression is out of date" >&2
        exit 1
    fi
    if ! cargo test "${tests[@]}" --no-run >"$tree/log" 2>&1; then
        cat "$tree/log" >&2
        echo "mutants: \"$name\" does not compile" >&2
        exit 1
    fi
    if cargo test "${tests[@]}" --no-fail-fast >"$tree/log" 2>&1; then
        survived+=("$name")
        echo "mutant survived: $name"
    else
        echo "mutant found: $name ($(grep -c '^test .* FAILED$' "$tree/log") tests fail)"
    fi
    cp "$root/$file" "$file"
}

mutant "red and blue are swapped (bytes)" app/core/preprocess/kernels.rs \
    '/fn pack_bytes/,/^}/ s/let \[r, g, b\] = rgb/let [b, g, r] = rgb/'
mutant "red and blue are swapped (stills)" app/core/preprocess/mod.rs \
    's/Scaling::Still(still) => return write_bytes(still.row(index), out, element)/Scaling::Still(still) => { let mut row = still.row(index).to_vec(); row.as_chunks_mut::<3>().0.iter_mut().for_each(|p| p.swap(0, 2)); return write_bytes(\&row, out, element) }/'
mutant "YOLOv5 is stretched, not letterboxed" app/core/model/decode/head.rs \
    's/Self::YoloV5 { .. } => Fit::Letterbox/Self::YoloV5 { .. } => Fit::Stretch/'
mutant "a letterbox is stretched" app/core/vision/geometry.rs \
    's/let scale = (in_width \/ width).min(in_height \/ height);/let scale = (in_width \/ width).max(in_height \/ height);/'
mutant "zero points are ignored" app/core/model/decode/codes.rs \
    's/let zero_point = q.zero_point as f32/let zero_point = 0.0 * q.zero_point as f32/'
mutant "signed bytes are read as unsigned" app/core/model/decode/codes.rs \
    's/DataType::I8 => (0x80, -128)/DataType::I8 => (0, 0)/'

if [[ ${#survived[@]} != 0 ]]; then
    printf 'mutants: no test noticed: %s\n' "${survived[@]}" >&2
    exit 1
fi
