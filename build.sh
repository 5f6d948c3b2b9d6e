#!/usr/bin/env bash
# Spotter's one script: gets what is missing, builds, runs and tests. `./build.sh help` says how.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lib_dir=${XDG_DATA_HOME:-$HOME/.local/share}/spotter/lib
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The libraries that run models are taken out of these Python packages (see NOTICE).
litert_wheel=ai-edge-litert==2.3.0
tflite_wheel=pymicro-wakeword==2.5.0

# What a build and a run need, as Debian and Ubuntu call it. `package:command` is satisfied by the
# command alone, whichever package it came with. libclang is handled apart: its name has a version.
packages=(
    ca-certificates libc6-dev gcc:cc cmake:cmake nasm:nasm pkg-config:pkg-config libssl-dev
    libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-libav
)

# What a build for cameras needs beside it; the compilers are those of both architectures.
camera_packages=(
    gcc-aarch64-linux-gnu:aarch64-linux-gnu-gcc gcc-arm-linux-gnueabihf:arm-linux-gnueabihf-gcc
    libc6-dev-arm64-cross libc6-dev-armhf-cross qemu-user-static:qemu-aarch64-static
    meson:meson ninja-build:ninja flex:flex bison:bison dpkg-dev:dpkg-source debian-archive-keyring
)

# What only the tests use; they go on without.
test_packages=(
    chromium:chromium curl:curl python3-venv shellcheck:shellcheck valgrind:valgrind
    gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-tools:gst-launch-1.0
    gir1.2-gst-rtsp-server-1.0 python3-gi
)

usage() {
    cat <<'END'
Spotter finds objects in live video and shows them on a web page.

  ./build.sh setup        install what is missing: GStreamer and a C compiler with apt, LiteRT, TensorFlow Lite
  ./build.sh run [ARGS]   setup, build, then `spotter run ARGS` (try: ./build.sh run --help)
  ./build.sh test         setup, what only tests need, then all tests
  ./build.sh bench [PART] setup, then measure speed, on a machine that does nothing else; compares with the run before.
                          PART is viewers, overlap, chips, engine, recovery, preprocess, decode, filter or demo; default: all
  ./build.sh eap [ARCH]   build the packages for Axis cameras into target/acap; ARCH is aarch64, armv7hf or all (default).
                          With the model that is recommended for its chips, downloaded and checked; --model MODEL takes
                          another (a file, or a name of the catalogue; where its licence asks for it, add
                          --accept-license LICENCE), --model none none. 15 minutes the first time
  ./build.sh install HOST [--user NAME]
                          put the package onto a camera, start it, wait until it answers (try: install --help)
  ./build.sh status|logs|remove HOST
                          ask a camera about Spotter, read its log, take it off
  ./build.sh camera [--chip CHIP] [--source CLIP] [--model FILE] [--port N]
                          simulate a camera (artpec7, artpec8, artpec9 or cv25; default artpec8) that sees CLIP (default:
                          the demo scene), with Spotter installed in it as a package, and FILE as its model (default:
                          the demo scene's); ends with ctrl-C
  ./build.sh train [WHAT] setup, build, then train the demo models; WHAT is detector, yolo, classifier,
                          advice or all (an hour for the detector; needs Python 3.11 or 3.12 and 3 GB)
  ./build.sh help         this text

It needs Debian 12, Ubuntu 24.04 or newer, with Rust (https://rustup.rs), Python 3 and apt.
END
}

say() { printf '%s\n' "$*"; }
die() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# Runs a noisy command; its output is shown only if it fails.
quietly() {
    if ! "$@" >"$scratch/log" 2>&1; then
        cat "$scratch/log" >&2
        return 1
    fi
}

need_rust() {
    local want have how
    how="get Rust with: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh   (see https://rustup.rs)"
    # rustup's folder is on the PATH only in shells opened after it was installed.
    if ! has cargo && [[ -x $HOME/.cargo/bin/cargo ]]; then
        PATH=$HOME/.cargo/bin:$PATH
    fi
    if ! has cargo || ! has rustc; then die "Rust is missing; $how"; fi
    want=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
    have=$(cd "$root" && rustc --version) ||
        die "rustc does not start; with rustup, try: cd '$root' && rustup toolchain install"
    have=${have#rustc }
    have=${have%% *}
    if [[ $(printf '%s\n%s\n' "$want" "${have%%-*}" | sort -V | head -n 1) != "$want" ]]; then
        die "Rust $have is too old, Spotter needs $want; $how"
    fi
}

# Sets `missing` to those of the arguments (package or package:command) that are not there.
find_missing() {
    local entry installed
    installed=" $(dpkg-query -W -f '${db:Status-Abbrev}${Package} ' "${@%%:*}" 2>/dev/null || true)"
    missing=()
    for entry in "$@"; do
        if [[ $entry == *:* ]] && has "${entry#*:}"; then continue; fi
        if [[ $installed != *" ii ${entry%%:*} "* ]]; then missing+=("${entry%%:*}"); fi
    done
}

# bindgen, which the build of tflitec uses, opens libclang.so.
has_libclang() {
    [[ -n ${LIBCLANG_PATH:-} ]] ||
        [[ $(dpkg-query -W -f '${db:Status-Abbrev} ' 'libclang1-*' 2>/dev/null) == *ii* ]]
}

# The libclang that this distribution's apt offers, the distribution's own default first.
libclang_package() {
    local offered name
    offered=$(apt-cache pkgnames libclang1- | grep -E '^libclang1-[0-9]+(t64)?$' | sort -Vr) || return 1
    for name in libclang1-18 libclang1-14 $offered; do
        if grep -qx "$name" <<<"$offered"; then
            say "$name"
            return
        fi
    done
}

# Whether apt knows a version of this package that it can install.
offered() { [[ $(apt-cache policy "$1" 2>/dev/null) == *"Candidate: "[!\(]* ]]; }

as_root() {
    if [[ $EUID == 0 ]]; then "$@"; else sudo "$@"; fi
}

# Seconds to wait for another program that installs or updates.
lock_time=600

# Runs apt-get; what it says is in the log. Another program that has its lock is waited for, and told of once.
apt_get() {
    local until=$((SECONDS + lock_time)) told=no pid
    while true; do
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -o "DPkg::Lock::Timeout=$lock_time" "$@" \
            >"$scratch/apt" 2>&1 &
        pid=$!
        while kill -0 "$pid" 2>/dev/null; do
            if [[ $told == no ]] && locked; then
                say "setup: another program uses apt; waiting until it is done, for $((lock_time / 60)) minutes at most"
                told=yes
            fi
            sleep 0.2
        done
        if wait "$pid"; then return 0; fi
        # The lock of the package lists apt does not wait for by itself.
        if ! locked || [[ $SECONDS -ge $until ]]; then return 1; fi
        sleep 2
    done
}

locked() { grep -qs 'Waiting for cache lock\|Could not get lock' "$scratch/apt"; }

# What apt-get said, where it failed for good.
apt_failed() {
    cat "$scratch/apt" >&2
    die "$1 failed"
}

apt_updated=no
apt_update() {
    [[ $apt_updated == no ]] || return 0
    say "setup: apt-get update"
    apt_get update || return 1
    apt_updated=yes
}

apt_install() { apt_get install -y --no-install-recommends "$@"; }

# Everything is in one apt-get call, with fresh lists only where the old ones do not do.
setup_packages() {
    local name stale=no clang=no names
    find_missing "${packages[@]}"
    if ! has_libraries && ! python_with_pip >/dev/null; then missing+=(python3-pip); fi
    has_libclang || clang=yes
    [[ ${#missing[@]} != 0 || $clang == yes ]] || return 0

    has apt-get || die "this system has no apt; install yourself: ${missing[*]} libclang"
    names=("${missing[@]}")
    if [[ $clang == yes ]]; then names+=("$(libclang_package || say libclang1-14)"); fi
    if [[ $EUID != 0 ]] && ! has sudo; then
        say "setup: these packages are missing, and this is neither root nor is there sudo. As root, run:"
        say "  apt-get update && apt-get install -y --no-install-recommends ${names[*]}"
        exit 1
    fi
    for name in "${names[@]}"; do offered "$name" || stale=yes; done
    if [[ $stale == yes ]]; then
        apt_update || apt_failed "apt-get update"
        if [[ $clang == yes ]]; then
            name=$(libclang_package) || die "apt offers no libclang1-*; install libclang, or set LIBCLANG_PATH"
            names=("${missing[@]}" "$name")
        fi
    fi
    say "setup: apt-get install ${names[*]} (minutes, on a system without any of it)"
    if ! apt_install "${names[@]}"; then
        # Lists can be older than what the mirror still has.
        [[ $apt_updated == no ]] || apt_failed "apt-get install"
        apt_update || apt_failed "apt-get update"
        apt_install "${names[@]}" || apt_failed "apt-get install"
    fi
    did=yes
}

# A python3 that has pip: the first on the PATH, else the system's.
python_with_pip() {
    local candidate
    for candidate in python3 /usr/bin/python3; do
        if "$candidate" -m pip --version >/dev/null 2>&1; then
            say "$candidate"
            return
        fi
    done
    return 1
}

# Sets `arch`, and the SHA-256 of each Python package and of the library in it for this machine, or for $1. LiteRT's
# are also in app/backend/tflite/litert/sys.rs: no other file is used.
pin_libraries() {
    arch=${1:-$(dpkg --print-architecture 2>/dev/null || uname -m)}
    tflite_sha='' litert_sha=''
    case $arch in
    amd64 | x86_64)
        arch=x86_64
        tflite_wheel_sha=3869f536402b1254e3be3549d3a462ecd6ed21ce2c3e77ec8eb501c3c700417c
        tflite_sha=25465edb5cd7aadd00249d4d28f1d922ce5cc90195ad4403458111dd63493bae
        litert_wheel_sha=1f15078a6725d2357d9de9221664c29afa0545d807559c5f7199ce5e40b96b23
        litert_sha=eec47eb35e2924b3166015887e652a58edc9af823ae38e02bf83bef2548300bb
        ;;
    arm64 | aarch64)
        arch=aarch64
        tflite_wheel_sha=6c75b77c936efd19b8c35a094cb7e3fdbd4ebcd0f63635a0851ce591990829f2
        tflite_sha=12062437bfde367b1be592ebc4a9fe64b8453f90b3b7dc21fade002c38e1ac1a
        litert_wheel_sha=853fc608f96da87bd5f3458465dfb9abbf18d5ae6b94eceacead407146f175ae
        litert_sha=b57687dc234d2b8b0598aef5a9c961ed24263df8f8b3f56adbee1cff618e544b
        ;;
    armhf | armv7l)
        arch=armv7l
        tflite_wheel_sha=af92b862fe0488fba7422b9819b1a8c88781b2f90fb3e4b7f1dcfd1d90a6b69b
        tflite_sha=fcb6ef6f3f9c68889868fb55aba544d43d0fe9703c1efeb2756e82b553d032ab
        ;;
    esac
}

# Whether a library is there, or there is none for this machine: has_library FILE SHA.
has_library() { [[ -z $2 || -f $lib_dir/$1 && $(sha256sum <"$lib_dir/$1") == "$2  -" ]]; }

has_libraries() {
    has_library libLiteRt.so "$litert_sha" && has_library libtensorflowlite_c.so "$tflite_sha"
}

# Takes a library out of a Python package: setup_library TITLE FILE SHA WHEEL SHA FOLDER.
setup_library() {
    local title=$1 name=$2 sha=$3 wheel=$4 wheel_sha=$5 folder=$6 python
    local part=$lib_dir/$name.$$.part at=$scratch/$name-$arch
    if has_library "$name" "$sha"; then return; fi
    python=$(python_with_pip) || die "python3 -m pip does not start"
    say "setup: $title for $arch, out of the Python package $wheel, to $lib_dir/$name"
    say "$wheel --hash=sha256:$wheel_sha" >"$at.txt"
    # The version and platform say which file is meant; they need not be those of this python3.
    quietly "$python" -m pip download --require-hashes --no-deps --only-binary=:all: \
        --python-version 3.11 --platform "manylinux_2_35_$arch" --platform "manylinux_2_27_$arch" \
        --dest "$at" --requirement "$at.txt" ||
        die "pip could not download $wheel; run ./build.sh setup again, it goes on from here"
    "$python" -m zipfile -e "$at"/*.whl "$at/unpacked"
    mkdir -p "$lib_dir"
    # First beside its place, then renamed: never half a library where the program looks.
    cp "$at/unpacked/$folder/$name" "$part"
    if [[ $(sha256sum <"$part") != "$sha  -" ]]; then
        rm -f "$part"
        die "the library in $wheel is not the expected one"
    fi
    mv -f "$part" "$lib_dir/$name"
    did=yes
}

setup_tflite() {
    if [[ -z $tflite_sha ]]; then
        say "setup: no TensorFlow Lite is known for $arch; build libtensorflowlite_c.so, name it in SPOTTER_TFLITE"
        return
    fi
    setup_library "TensorFlow Lite" libtensorflowlite_c.so "$tflite_sha" "$tflite_wheel" "$tflite_wheel_sha" \
        pymicro_wakeword/lib
}

setup_libraries() {
    if [[ -n $litert_sha ]]; then
        setup_library LiteRT libLiteRt.so "$litert_sha" "$litert_wheel" "$litert_wheel_sha" ai_edge_litert
    fi
    setup_tflite
}

setup() {
    did=no
    need_rust
    pin_libraries
    setup_packages
    setup_libraries
    if [[ $did == no ]]; then say "setup: everything is in place"; else say "setup: done"; fi
}

run() {
    setup
    (cd "$root" && cargo build --release --locked)
    rm -rf "$scratch"
    exec "${CARGO_TARGET_DIR:-$root/target}/release/spotter" run "$@"
}

# `cargo` has built spotter-package; `tool` is its path.
tool=${CARGO_TARGET_DIR:-$root/target}/debug/spotter-package
build_tool() { (cd "$root" && cargo build --quiet --locked --package spotter-package); }

# Asks a camera, or changes what is on it.
camera() {
    need_rust
    build_tool
    rm -rf "$scratch"
    case $1 in
    install)
        shift
        exec "$tool" install "$root/target/acap" "$@"
        ;;
    *) exec "$tool" "$@" ;;
    esac
}

# Builds the program for a camera: build_for_camera aarch64|armv7hf. GStreamer is linked into it from the sysroot
# that package/gstreamer.sh makes; `binary` is its path afterwards.
build_for_camera() {
    local target gnu flags upper lower sysroot include name
    case $1 in
    aarch64) target=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu flags='' ;;
    # Every ARTPEC-7 has NEON.
    armv7hf) target=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf flags='-C target-feature=+neon' ;;
    esac
    if [[ ! -d $(cd "$root" && rustc --print sysroot)/lib/rustlib/$target ]]; then
        has rustup || die "Rust's library for $target is missing, and there is no rustup to get it; see https://rustup.rs"
        say "setup: rustup target add $target"
        (cd "$root" && quietly rustup target add "$target") || die "rustup could not get the library for $target"
    fi
    "$root/package/gstreamer.sh" "$1" "$root/target/sysroots/$1"
    sysroot=$root/target/sysroots/$1/sysroot
    include="--sysroot=$sysroot -isystem $sysroot/usr/include/$gnu -isystem $sysroot/usr/include"
    lower=${target//-/_}
    upper=${lower^^}
    say "camera: Spotter for $1"
    (
        cd "$root"
        # Only what is built for the camera is looked for there; build scripts run here.
        export PKG_CONFIG_ALLOW_CROSS=1 "PKG_CONFIG_SYSROOT_DIR_$lower=$sysroot" \
            "PKG_CONFIG_LIBDIR_$lower=$sysroot/usr/lib/$gnu/pkgconfig:$sysroot/usr/share/pkgconfig"
        for name in GSTREAMER GSTREAMER_BASE GSTREAMER_APP GSTREAMER_VIDEO; do
            export "SYSTEM_DEPS_${name}_1_0_LINK=static"
        done
        export "CFLAGS_$lower=$include -Os -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -ffile-prefix-map=$root=." \
            "BINDGEN_EXTRA_CLANG_ARGS_$lower=$include" "CARGO_TARGET_${upper}_LINKER=$gnu-gcc"
        # -lgcc: GStreamer's atomic operations are functions of libgcc. Nothing is unwound: a panic ends the program.
        # The paths are kept out, so that the bytes are the same wherever it is built.
        export "CARGO_TARGET_${upper}_RUSTFLAGS=$flags -C force-unwind-tables=no -L native=$sysroot/usr/lib/$gnu -L native=$sysroot/fix \
            -C link-arg=--sysroot=$sysroot -C link-arg=-B$sysroot/usr/lib/$gnu -C link-arg=-lgcc \
            -C link-arg=-Wl,-rpath-link,$sysroot/usr/lib/$gnu:$sysroot/lib/$gnu -C link-arg=-Wl,--gc-sections \
            --remap-path-prefix=$root=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
        cargo build --locked --profile camera --no-default-features --target "$target"
    )
    binary=${CARGO_TARGET_DIR:-$root/target}/$target/camera/spotter
}

# Into the sysroot of an architecture: cross_tflite ARCH, and ARCH as Debian calls it.
cross_tflite() {
    local lib_dir=$root/target/sysroots/$1
    pin_libraries "$2"
    setup_tflite
}

# TensorFlow Lite for the programs for cameras that were built here: the tests run them under qemu. Cameras have none.
setup_cross_tflite() {
    local entry arch target debian
    for entry in aarch64:aarch64-unknown-linux-gnu:arm64 armv7hf:armv7-unknown-linux-gnueabihf:armhf; do
        IFS=: read -r arch target debian <<<"$entry"
        [[ -f ${CARGO_TARGET_DIR:-$root/target}/$target/camera/spotter ]] || continue
        (cross_tflite "$arch" "$debian") || say "skipped: $arch: TensorFlow Lite could not be downloaded"
    done
}

# The packages for cameras, checked.
eap() {
    local archs=() arch model=recommended files file options accept=() out=$root/target/acap spotter made=()
    while [[ $# != 0 ]]; do
        case $1 in
        aarch64 | armv7hf) archs+=("$1") ;;
        all) archs+=(aarch64 armv7hf) ;;
        --model | --accept-license)
            [[ $# -ge 2 ]] || die "$1 needs a value; see ./build.sh help"
            if [[ $1 == --model ]]; then model=$2; else accept+=(--accept-license "$2"); fi
            shift
            ;;
        *) die "eap takes aarch64, armv7hf or all, --model and --accept-license, not '$1'" ;;
        esac
        shift
    done
    [[ ${#archs[@]} != 0 ]] || archs=(aarch64 armv7hf)
    packages+=("${camera_packages[@]}")
    setup
    build_tool
    spotter=${CARGO_TARGET_DIR:-$root/target}/release/spotter
    # What downloads and checks.
    if [[ $model != none && ! -f $model ]]; then (cd "$root" && cargo build --release --locked); fi
    for arch in "${archs[@]}"; do
        files=$("$root/package/models.sh" "$arch" "$model" "$spotter" "${accept[@]}") || exit 1
        options=()
        while IFS= read -r file; do
            [[ -z $file ]] || options+=(--model "$file")
        done <<<"$files"
        build_for_camera "$arch"
        "$tool" pack --smallest --arch "$arch" --binary "$binary" --project "$root" --out "$out" "${options[@]}" "${accept[@]}"
        made+=("$out"/Spotter_*_"$arch"*.eap)
        mkdir -p "$out/gstreamer-sources"
        cp -u "$root/package/gstreamer.sh" "$root/target/sysroots/$arch/sources"/* "$out/gstreamer-sources"
    done
    "$tool" lint "${made[@]}" || die "a package is not as it should be"
}

# A camera without a camera: its libraries and its web front (tests/camera), and the package installed through them
# as on a real one.
simulate() {
    local chip=artpec8 source=demo model='' port=8090 out=${CARGO_TARGET_DIR:-$root/target} sim made line name file
    local size=1280x720 libraries=()
    while [[ $# != 0 ]]; do
        [[ $# -ge 2 ]] || die "$1 needs a value, or is no option of camera; see ./build.sh help"
        case $1 in
        --chip) chip=$2 ;;
        --source) source=$2 ;;
        --model) model=$2 ;;
        --port) port=$2 ;;
        *) die "camera takes --chip, --source, --model and --port, not '$1'" ;;
        esac
        shift 2
    done
    case $chip in
    artpec7 | artpec8 | artpec9 | cv25) ;;
    *) die "there is no chip $chip; the simulated camera has artpec7, artpec8, artpec9 or cv25" ;;
    esac
    [[ $source == demo || -f $source ]] || die "there is no clip $source; give a file, or demo"
    [[ -z $model || -f $model ]] || die "there is no model file $model"
    for name in "${test_packages[@]}"; do
        # It plays the clip that the simulated camera sees.
        if [[ $name == *:gst-launch-1.0 ]]; then packages+=("$name"); fi
    done
    setup
    say "camera: building Spotter, its package and the simulated camera"
    (
        cd "$root"
        cargo build --release --locked
        cargo build --quiet --locked --package spotter-package --package sim-camera --package sim-larod \
            --package sim-vdo
    )
    if [[ -z $model && $chip == cv25 ]]; then
        # As the simulated CV25 has its compiled models: a mark, then a model with a raw head.
        model=$scratch/street.bin
        { printf SPOTTER-SIM-CV25 && cat "$root/models/demo_ssd_mobilenet_v2_raw.tflite"; } >"$model"
        cp "$root/tests/camera/larod/street_cv25.json" "$scratch/street.json"
    fi
    if [[ $source == demo ]]; then
        # One whole scene, of a size at which the simulated camera keeps it: it goes on without a gap.
        source=$scratch/demo.avi size=640x360
        say "camera: drawing the demo scene"
        quietly "$out/release/spotter" demo --save "$source" --size $size --fps 30
    fi
    made=$scratch/Spotter
    "$out/debug/spotter-package" pack --arch "$(uname -m)" --system new --binary "$out/release/spotter" \
        --project "$root" --out "$made" --model "${model:-$root/models/demo_ssd_mobilenet_v2.tflite}"
    mkdir -p "$scratch/lib"
    for name in larod vdostream; do
        file=$scratch/lib/lib$name.so.1
        cp "$out/debug/lib$name.so" "$file"
        libraries+=(--library "$file")
    done
    # The simulated larod runs models with this one.
    if [[ -f $lib_dir/libtensorflowlite_c.so ]]; then libraries+=(--library "$lib_dir/libtensorflowlite_c.so"); fi
    # Everyone may look into the camera's root, for the package runs as another user.
    sim=$(mktemp -d)
    coproc CAMERA {
        "$out/debug/sim-camera" --until-eof --listen "127.0.0.1:$port" --chip "$chip" --native --source "$source" \
            --env "SPOTTER_SIM_SIZE=$size" --root "$sim" --user root:pass:admin --user viewer:look:viewer \
            "${libraries[@]}"
    }
    # The simulated camera ends its applications when this script's end of the pipe closes.
    # shellcheck disable=SC2064
    trap "exec {CAMERA[1]}>&- || true; wait '$CAMERA_PID' 2>/dev/null || true; rm -rf '$sim' '$scratch'" EXIT
    trap 'exit 0' INT TERM
    IFS= read -r line <&"${CAMERA[0]}" || die "the simulated camera did not start"
    say "$line"
    SPOTTER_PASSWORD=pass "$out/debug/spotter-package" install "$made" "http://127.0.0.1:$port" --allow-unsigned
    say ""
    say "Spotter is on the simulated camera: http://127.0.0.1:$port/local/spotter/index.html"
    say "  administrator: root, password pass      viewer: viewer, password look"
    say "The camera's log follows; ctrl-C ends everything."
    while IFS= read -r line <&"${CAMERA[0]}"; do say "$line"; done
    die "the simulated camera has ended"
}

# Extras for the tests. Each one that cannot be had is named, and the tests that need it say so too.
setup_test_packages() {
    local name wanted=() stale=no
    find_missing "${test_packages[@]}"
    [[ ${#missing[@]} != 0 ]] || return 0
    if ! has apt-get || { [[ $EUID != 0 ]] && ! has sudo; }; then
        say "skipped: ${missing[*]}: only root can install them"
        return
    fi
    for name in "${missing[@]}"; do
        if [[ $name == chromium ]] && grep -qx 'ID=ubuntu' /etc/os-release; then
            say "skipped: chromium: Ubuntu has it only as a snap; install a chromium or google-chrome yourself"
        else
            wanted+=("$name")
            offered "$name" || stale=yes
        fi
    done
    [[ ${#wanted[@]} != 0 ]] || return 0
    if [[ $stale == yes ]]; then apt_update || say "skipped: apt-get update failed"; fi
    say "setup: apt-get install ${wanted[*]}"
    if apt_install "${wanted[@]}"; then return; fi
    apt_update || true
    for name in "${wanted[@]}"; do
        apt_install "$name" || say "skipped: $name: apt-get install failed"
    done
}

# A Python environment with what tests/tools/*.py import.
setup_test_venv() {
    local venv=$root/target/test-venv list=$root/tests/tools/requirements.txt python stamp
    stamp=$(sha256sum <"$list")
    if [[ -x $venv/bin/python && $(cat "$venv/stamp" 2>/dev/null) == "$stamp" ]]; then return; fi
    for python in python3 /usr/bin/python3 python3.11 python3.12; do
        # The list has hashes for these two versions.
        "$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null || continue
        say "setup: $venv with numpy, pycocotools and schemathesis"
        rm -rf "$venv"
        if quietly "$python" -m venv "$venv" &&
            quietly "$venv/bin/python" -m pip install --require-hashes --only-binary=:all: --no-deps -r "$list"; then
            say "$stamp" >"$venv/stamp"
            return
        fi
        rm -rf "$venv"
        say "skipped: mAP and fuzzing the interface: the Python environment could not be made"
        return
    done
    say "skipped: mAP and fuzzing the interface: no python3 of version 3.11 or 3.12"
}

# Trains the demo models; sets and checkpoints in target/train make a second run go on where the first stopped.
train() {
    local venv=$root/target/train-venv list=$root/models/train/requirements.txt python stamp
    setup
    (cd "$root" && cargo build --release --locked)
    stamp=$(sha256sum <"$list")
    if [[ ! -x $venv/bin/python || $(cat "$venv/stamp" 2>/dev/null) != "$stamp" ]]; then
        for python in python3 /usr/bin/python3 python3.11 python3.12 none; do
            [[ $python != none ]] || die "training needs a python3 of version 3.11 or 3.12 with venv"
            "$python" -c 'import sys, venv; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null || continue
            break
        done
        say "setup: $venv with TensorFlow"
        rm -rf "$venv"
        quietly "$python" -m venv "$venv" || die "$python could not make $venv; install python3-venv"
        quietly "$venv/bin/python" -m pip install --only-binary=:all: --no-deps -r "$list" ||
            die "pip could not install $list"
        say "$stamp" >"$venv/stamp"
    fi
    quietly "$venv/bin/python" "$root/models/train/test_train.py" || die "the tests of the training failed"
    SPOTTER=${CARGO_TARGET_DIR:-$root/target}/release/spotter "$venv/bin/python" "$root/models/train/main.py" "$@"
}

deny_version=0.20.2
deny=$root/target/tools/bin/cargo-deny
deny_job=
has_cargo_deny() { [[ $("$deny" --version 2>/dev/null) == "cargo-deny $deny_version" ]]; }

# Builds it beside the tests, out of what they leave of the processors. It reads some hundred files: how fast it is in
# that does not count, how fast it compiles does.
setup_cargo_deny() {
    has_cargo_deny && return
    local tools=$root/target/tools
    say "setup: cargo install cargo-deny $deny_version to $tools, beside the tests (some minutes, once)"
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        nice -n 19 cargo install cargo-deny --version "$deny_version" --locked --quiet \
        --root "$tools" --target-dir "$tools/build" >"$scratch/deny" 2>&1 &
    deny_job=$!
    trap 'kill $deny_job 2>/dev/null || true; rm -rf "$scratch"' EXIT
}

check_dependencies() {
    if [[ -n $deny_job ]]; then
        wait "$deny_job" || cat "$scratch/deny" >&2
        deny_job=
        rm -rf "$root/target/tools/build"
    fi
    if ! has_cargo_deny; then
        say "skipped: licences, duplicate crates and sources: cargo-deny could not be built"
        return
    fi
    say "cargo deny: licences, bans, sources"
    "$deny" --workspace --locked check --show-stats licenses bans sources || return 1
    # The advisories come from a git host, which not every machine reaches.
    if ! timeout 120 "$deny" fetch db >"$scratch/log" 2>&1; then
        say "skipped: cargo deny check advisories: advisory database not reachable"
        return
    fi
    "$deny" --workspace --locked check --disable-fetch advisories
}

# The unit tests of the page's modules. Node imports these as they are from 20.19 and 22.12 on.
test_page() {
    if ! has node; then
        say "skipped: the page's unit tests: no node"
    elif ! node -e 'process.exit(process.features.require_module ? 0 : 1)'; then
        say "skipped: the page's unit tests: node $(node --version) is older than 20.19 or 22.12"
    else
        say "node --test: the page"
        node --test --test-reporter=spec --disable-warning=MODULE_TYPELESS_PACKAGE_JSON tests/page/*.test.mjs
    fi
}

run_tests() {
    local failed=()
    setup
    setup_test_packages
    setup_test_venv
    setup_cross_tflite
    cd "$root"
    setup_cargo_deny
    test_page || failed+=("node --test")
    # The tests may run `./build.sh setup`, it will install nothing; and the simulated camera is built with them.
    export SPOTTER_SETUP_DONE=1 SPOTTER_TESTS_WHOLE=1 SPOTTER_TESTS_SAID=$scratch/said
    if cargo nextest --version >/dev/null 2>&1; then
        say "cargo nextest run"
        # Most tests wait for something.
        cargo nextest run --workspace --locked --test-threads $((2 * $(nproc))) || failed+=("cargo nextest run")
    else
        # Building it takes longer than it saves in one run, so that is for whoever runs the tests often.
        say "cargo test, one test after the other (with cargo-nextest it is faster: cargo install --locked cargo-nextest)"
        cargo test --workspace --locked --no-fail-fast -- --test-threads=1 || failed+=("cargo test")
    fi
    if [[ -f $SPOTTER_TESTS_SAID ]]; then
        say "what the tests said:"
        sort -u "$SPOTTER_TESTS_SAID"
    fi
    check_dependencies || failed+=("cargo deny")
    if [[ ${#failed[@]} != 0 ]]; then
        (IFS=, && die "failed: ${failed[*]}")
    fi
    say "all tests passed"
}

# Measures; nothing fails because a machine is slow.
bench() {
    local part=${1-}
    setup
    setup_test_packages
    cd "$root"
    case $part in
    '') cargo bench --locked ;;
    viewers | overlap | chips | engine | recovery) cargo bench --locked --bench measure -- "$part" ;;
    preprocess | decode | filter | demo) cargo bench --locked --bench "$part" ;;
    *) die "bench takes viewers, overlap, chips, engine, recovery, preprocess, decode, filter or demo, not '$part'" ;;
    esac
}

case ${1-help} in
setup) setup ;;
run)
    shift
    run "$@"
    ;;
test) run_tests ;;
bench)
    shift
    bench "$@"
    ;;
camera)
    shift
    simulate "$@"
    ;;
train)
    shift
    train "$@"
    ;;
eap)
    shift
    eap "$@"
    ;;
install | status | logs | remove) camera "$@" ;;
help | -h | --help) usage ;;
*)
    printf "build.sh: no command '%s'; see ./build.sh help\n" "$1" >&2
    exit 2
    ;;
esac
