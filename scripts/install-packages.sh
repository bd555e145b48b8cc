#!/bin/sh
# Install Debian or Ubuntu packages as root; as anybody else, or elsewhere, name them and fail.
#   scripts/install-packages.sh PACKAGE...
set -eu

install="apt-get install -y --no-install-recommends $*"
if ! command -v apt-get >/dev/null; then
    echo "Missing, by the names that Debian and Ubuntu give them: $*" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    printf '%s\n' "Missing: $*. Install them and run this again:" "  sudo apt-get update && sudo $install" >&2
    exit 1
fi
echo "$install" >&2
export DEBIAN_FRONTEND=noninteractive
lock="-o DPkg::Lock::Timeout=120"
# shellcheck disable=SC2086 # several words on purpose
apt-get $lock -qq update && apt-get $lock -qq ${install#apt-get} >/dev/null
