#!/bin/sh
# Get programs for the tests, if they are not installed: unpack them from Debian's or Ubuntu's package into
# build/PACKAGE. It is not installed, because that would start a service. Needs no root.
#   scripts/unpack.sh PACKAGE PATH...          such as: scripts/unpack.sh nginx usr/sbin/nginx
set -eu
cd "$(dirname "$0")/.."
package=$1
shift
there=$PWD/build/$package
missing=
for path; do
    command -v "${path##*/}" >/dev/null || [ -x "$there/$path" ] || missing="$missing ${path##*/}"
done
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
    echo "Missing:$missing" >&2
    exit 1
}
echo "fetching $package" >&2
rm -rf "$there"
mkdir -p "$there"
cd "$there"
download() {
    apt-get -qq -o APT::Sandbox::User=root download "$package"
}
download 2>/dev/null || {
    [ "$(id -u)" != 0 ] || apt-get -o DPkg::Lock::Timeout=120 -qq update
    download
}
for path; do
    dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x "./$path"
done
rm "$package"_*.deb
