#!/bin/sh
# How a host was before a rollout, in /var/lib/multinic-rollout, and the way back.
#   before.sh remember ROLLOUT PACKAGE   prints "package=", "kept=" (the file of it that is here), "state=" and the status
#   before.sh undo                       stops the timer, and takes back what multinic changed
#   before.sh restore                    puts settings, secret and units back as they were
set -eu
umask 077
place=/var/lib/multinic-rollout
packages=/var/cache/multinic-packages
last=/var/lib/multinic/checkpoint-last.json
units="multinic.timer multinic-health.socket"

change() {
    cksum <$last 2>/dev/null || echo none
}

remember() {
    # A rollout that goes on after an interruption: how the host was before it began is what counts.
    if [ "$(cat $place/rollout 2>/dev/null)" != "$1" ]; then
        rm -rf $place
        mkdir -p $place/etc
        for file in multinic.toml password; do
            [ ! -e /etc/multinic/$file ] || cp -p /etc/multinic/$file $place/etc
        done
        for unit in $units; do
            echo "$unit $(systemctl is-enabled "$unit" 2>/dev/null) $(systemctl is-active "$unit" 2>/dev/null)"
        done >$place/units
        echo "$2" >$place/package
        # What a package that was removed left, for the day it comes back.
        [ ! -e /var/lib/multinic ] || touch $place/state
        [ -e $packages ] || touch $place/no-packages
        change >$place/change
        multinic --output json status >$place/status 2>/dev/null || rm -f $place/status
        echo "$1" >$place/rollout
    fi
    package=$(cat $place/package)
    echo "package=$package"
    version=${package#* }
    for file in "$packages/multinic_${version}_all.deb" \
        "$packages/multinic-$version.noarch.rpm" \
        "$packages/multinic-$version-py3-none-any.whl"; do
        [ -z "$package" ] || [ ! -e "$file" ] || echo "kept=$file"
    done
    [ ! -e $place/state ] || echo "state=yes"
    [ ! -e $place/status ] || cat $place/status
}

undo() {
    # shellcheck disable=SC2086 # several words on purpose
    systemctl stop $units multinic-hotplug.service multinic.service 2>/dev/null || true
    # Without a change of this rollout, `rollback` would undo one before it.
    if [ "$(change)" != "$(cat $place/change)" ]; then
        multinic rollback </dev/null # which asks nothing without a terminal
    fi
}

restore() {
    if [ -n "$(ls $place/etc)" ]; then
        mkdir -p -m 755 /etc/multinic
    fi
    for file in multinic.toml password; do
        if [ -e "$place/etc/$file" ]; then
            cp -p "$place/etc/$file" /etc/multinic
        else
            rm -f "/etc/multinic/$file"
        fi
    done
    rmdir /etc/multinic 2>/dev/null || true
    while read -r unit enabled active; do
        case $enabled in
            enabled | disabled) systemctl --quiet "${enabled%d}" "$unit" ;;
        esac
        case $active in
            active) systemctl start "$unit" ;;
        esac
    done <$place/units
    [ ! -e $place/no-packages ] || rm -rf $packages
    rm -rf $place
}

"$@"
