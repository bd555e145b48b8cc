#!/bin/sh
# Get the programs prometheus and promtool for the tests, if they are not installed: unpack them from Debian's or
# Ubuntu's package into build/prometheus. It is not installed, because that would start a service. Needs no root.
set -eu
cd "$(dirname "$0")/.."
command -v prometheus >/dev/null && command -v promtool >/dev/null && exit
there=$PWD/build/prometheus
[ ! -x "$there/usr/bin/promtool" ] || exit 0
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
    echo "Missing: prometheus and promtool" >&2
    exit 1
}
echo "fetching prometheus" >&2
rm -rf "$there"
mkdir -p "$there"
cd "$there"
download() {
    apt-get -qq -o APT::Sandbox::User=root download prometheus
}
download 2>/dev/null || {
    [ "$(id -u)" != 0 ] || apt-get -o DPkg::Lock::Timeout=120 -qq update
    download
}
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/prometheus ./usr/bin/promtool
rm prometheus_*.deb
