#!/usr/bin/env bash
# Builds what a camera binary is linked against: a sysroot of Debian 11's C library and GLib (the oldest that
# cameras carry are not older), and in it GStreamer 1.22 (core, base, app, video) as static libraries, from
# Debian's source packages. `gstreamer.sh aarch64|armv7hf FOLDER` leaves FOLDER/sysroot and FOLDER/sources;
# what is up to date is left alone. This is the recipe that the LGPL asks for: docs/camera.md says how to relink.
set -euo pipefail

binaries=bullseye # glibc 2.31, GLib 2.66
sources=bookworm  # GStreamer 1.22 with Debian's fixes
source_packages=(gstreamer1.0 gst-plugins-base1.0)
sysroot_packages=(libc6-dev libglib2.0-dev libgcc-s1)

die() {
    printf 'gstreamer.sh: %s\n' "$*" >&2
    exit 1
}
[[ $# == 2 ]] || die "usage: gstreamer.sh aarch64|armv7hf FOLDER"
case $1 in
aarch64) debian=arm64 gnu=aarch64-linux-gnu family=aarch64 qemu=qemu-aarch64-static ;;
armv7hf) debian=armhf gnu=arm-linux-gnueabihf family=arm qemu=qemu-arm-static ;;
*) die "no architecture '$1'; give aarch64 or armv7hf" ;;
esac
mkdir -p "$2"
folder=$(cd "$2" && pwd)
sysroot=$folder/sysroot
stamp=$(sha256sum <"${BASH_SOURCE[0]}")
if [[ -f $folder/stamp && $(cat "$folder/stamp") == "$stamp" ]]; then exit 0; fi

# Runs a noisy command; its output is shown only if it fails.
quietly() {
    if ! "$@" >"$folder/log" 2>&1; then
        tail -n 60 "$folder/log" >&2
        return 1
    fi
}

# The Debian mirror that apt is set up with; SPOTTER_DEBIAN_MIRROR names another, and is needed on Ubuntu.
# shellcheck disable=SC2016 # The names in the format are apt's.
mirror() {
    local uri codename
    if [[ -n ${SPOTTER_DEBIAN_MIRROR:-} ]]; then
        printf '%s\n' "$SPOTTER_DEBIAN_MIRROR"
        return
    fi
    while read -r uri codename; do
        if [[ $codename == "$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" && -n $codename ]]; then
            printf '%s\n' "$uri"
            return
        fi
    done < <(grep -qx 'ID=debian' /etc/os-release &&
        apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 2>/dev/null)
    return 1
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -f $keyring ]] || die "Debian's keys are missing; install debian-archive-keyring"
uri=$(mirror) || die "apt names no Debian mirror; name one in SPOTTER_DEBIAN_MIRROR"

# An apt of its own, below the folder: the system's packages are neither looked at nor changed.
apt=$folder/apt
rm -rf "$sysroot" "$folder/sources" "$folder/build" "$apt/cache/archives"
mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,etc/sources.list.d,etc/preferences.d} "$sysroot" \
    "$folder/sources" "$folder/build"
: >"$apt/state/status"
{
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$binaries"
    printf 'deb-src [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$sources"
} >"$apt/etc/sources.list"
get=(apt-get -o "Dir::Etc=$apt/etc" -o "Dir::Etc::sourcelist=$apt/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State=$apt/state" -o "Dir::State::status=$apt/state/status" -o "Dir::Cache=$apt/cache"
    -o "APT::Architecture=$debian" -o "APT::Architectures::=$debian" -o Acquire::Check-Valid-Until=false)
if [[ $EUID == 0 ]]; then get+=(-o APT::Sandbox::User=root); fi

printf 'camera: Debian %s for %s\n' "$binaries" "$debian"
quietly "${get[@]}" update || die "Debian's package lists could not be had"
quietly "${get[@]}" -y --no-install-recommends --download-only install "${sysroot_packages[@]}" ||
    die "Debian's packages for $debian could not be downloaded"
for package in "$apt"/cache/archives/*.deb; do dpkg -x "$package" "$sysroot"; done
# Absolute links mean the camera's root, not this machine's. With them the linker takes libdl.a for libdl.so.
find "$sysroot" -type l -lname '/*' | while read -r link; do
    target=$sysroot$(readlink "$link")
    ln -sfn "$(realpath -m --relative-to="$(dirname "$link")" "$target")" "$link"
done
# Of the C library and GLib a camera has its own: nothing of them may be linked statically.
find "$sysroot" -name '*.a' ! -name '*_nonshared.a' -delete
# The cross compiler's own libgcc_s asks for a newer C library.
mkdir -p "$sysroot/fix"
ln -sf "../lib/$gnu/libgcc_s.so.1" "$sysroot/fix/libgcc_s.so"

printf 'camera: GStreamer for %s\n' "$debian"
(cd "$folder/sources" && quietly "${get[@]}" source --download-only "${source_packages[@]}") ||
    die "GStreamer's source packages could not be downloaded"
for package in "${source_packages[@]}"; do
    quietly dpkg-source --no-check -x "$folder/sources/$package"_*.dsc "$folder/build/$package" ||
        die "$package could not be unpacked"
done

cat >"$folder/cross.ini" <<END
[binaries]
c = ['$gnu-gcc', '--sysroot=$sysroot']
ar = '$gnu-ar'
strip = '$gnu-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['$qemu', '-L', '$sysroot']
[properties]
sys_root = '$sysroot'
pkg_config_libdir = '$sysroot/usr/lib/$gnu/pkgconfig:$sysroot/usr/share/pkgconfig'
[built-in options]
c_args = ['-isystem', '$sysroot/usr/include/$gnu', '-isystem', '$sysroot/usr/include', '-Os', '-ffunction-sections', '-fdata-sections', '-fno-asynchronous-unwind-tables', '-ffile-prefix-map=$folder=.']
c_link_args = ['-B$sysroot/usr/lib/$gnu', '-L$sysroot/usr/lib/$gnu', '-L$sysroot/lib/$gnu', '-L$sysroot/fix', '-Wl,-rpath-link,$sysroot/lib/$gnu']
[host_machine]
system = 'linux'
cpu_family = '$family'
cpu = '$family'
endian = 'little'
END

# build PACKAGE OPTIONS…: into the sysroot. Parsing of pipelines, tracers and the registry are left out: Spotter
# puts its pipelines together in code, out of elements of its own.
build() {
    local package=$1 out=$folder/build/$1-$gnu
    shift
    quietly meson setup "$out" "$folder/build/$package" --cross-file "$folder/cross.ini" --prefix=/usr \
        -Dlibdir="lib/$gnu" -Dauto_features=disabled -Dbuildtype=plain -Db_ndebug=true -Dtools=disabled \
        -Dglib-asserts=disabled --default-library=static "$@" || die "$package could not be configured"
    quietly ninja -C "$out" || die "$package could not be built"
    DESTDIR=$sysroot quietly meson install -C "$out" --no-rebuild || die "$package could not be installed"
}
build gstreamer1.0 -Dcheck=disabled -Dptp-helper-permissions=none -Doption-parsing=false -Dextra-checks=disabled \
    -Dgst_debug=false -Dgst_parse=false -Dtracer_hooks=false -Dregistry=false
build gst-plugins-base1.0 -Dapp=enabled
rm -rf "$folder/build" "$folder/log" "$apt"
printf '%s\n' "$stamp" >"$folder/stamp"
