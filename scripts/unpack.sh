#!/bin/sh
# Get programs for the tests, if they are not installed: unpack them from Debian's or Ubuntu's packages into
# build/, below the name of the first. They are not installed, because that would start a service. Needs no root.
#   scripts/unpack.sh PACKAGES PATH...         such as: scripts/unpack.sh nginx usr/sbin/nginx
# A distribution may lack all PACKAGES but the first.
set -eu
cd "$(dirname "$0")/.."
packages=$1
shift
there=$PWD/build/${packages%% *}

# Print what of the programs is not there.
missing() {
    for path; do
        command -v "${path##*/}" >/dev/null || [ -x "$there/$path" ] || printf ' %s' "${path##*/}"
    done
}
[ -n "$(missing "$@")" ] || exit 0
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
    echo "Missing:$(missing "$@")" >&2
    exit 1
}
echo "fetching $packages" >&2
rm -rf "$there"
mkdir -p "$there"
cd "$there"
download() {
    wanted=
    for package in $packages; do
        [ -n "$wanted" ] && ! apt-cache show "$package" >/dev/null 2>&1 || wanted="$wanted $package"
    done
    # shellcheck disable=SC2086 # several words on purpose
    apt-get -qq -o APT::Sandbox::User=root download $wanted
}
download 2>/dev/null || {
    [ "$(id -u)" != 0 ] || apt-get -o DPkg::Lock::Timeout=120 -qq update
    download
}
for deb in *.deb; do
    for path; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x "./$path" 2>/dev/null || true # it may be in another one of them
    done
    rm "$deb"
done
[ -z "$(missing "$@")" ] || {
    echo "The package $packages has no$(missing "$@") here" >&2
    exit 1
}
