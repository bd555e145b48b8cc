#!/bin/sh
# Install what every package holds below DESTDIR, from a source tree that build.sh made. Needs no network.
#   packaging/install.sh DESTDIR LAUNCHER ZSH_COMPLETIONS
set -eu
cd "$(dirname "$0")/.."
destination=$1 launcher=$2 zsh=$3
python=${PYTHON:-python3}
share=$destination/usr/share
library=$share/multinic

umask 022
mkdir -p "$library"
cp -R multinic vendor/lib/* "$library"
cp -R templates "$library/multinic/templates"
# Nothing in there is run by itself.
find "$library" -type f -exec chmod 644 {} +
install -D -m 755 "$launcher" "$destination/usr/bin/multinic"
install -D -m 640 packaging/multinic.toml "$destination/etc/multinic/multinic.toml"

for unit in systemd/*; do
    case $unit in
        *.service | *.timer | *.socket | *.path | *.target)
            install -D -m 644 -t "$destination/usr/lib/systemd/system" "$unit" ;;
        *.rules)
            install -D -m 644 -t "$destination/usr/lib/udev/rules.d" "$unit" ;;
    esac
done

"$python" -BIS packaging/describe.py "$library" build
install -D -m 644 build/multinic.1 "$share/man/man1/multinic.1"
install -D -m 644 build/multinic.toml.5 "$share/man/man5/multinic.toml.5"
install -D -m 644 build/multinic.bash "$share/bash-completion/completions/multinic"
install -D -m 644 build/multinic.zsh "$destination$zsh/_multinic"
install -D -m 644 build/multinic.fish "$share/fish/vendor_completions.d/multinic.fish"
