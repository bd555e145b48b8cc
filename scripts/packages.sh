#!/bin/sh
# Look for the programs that the tiers of the tests need, and install what is missing (as root; else name it).
#   scripts/packages.sh unit db kernel web host fleet vm k8s
# Never fails: a tier that cannot run is reported by the tests themselves.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
missing=

# need PROGRAM PACKAGE
need() {
    command -v "$1" >/dev/null || case " $missing " in *" $2 "*) ;; *) missing="$missing $2" ;; esac
}

for tier in $(echo "$*" | tr ',' ' '); do
    case $tier in
        db | web | host | fleet | vm | k8s | all)
            # The -core packages are the programs without a service: nothing is started, nothing is enabled.
            release=
            ! grep -qs '^VERSION_CODENAME=jammy' /etc/os-release || release=-10.6
            need mariadbd mariadb-server-core$release
            need mariadb-install-db mariadb-server-core$release
            need my_print_defaults mariadb-client-core$release
            need openssl openssl ;;
    esac
    case $tier in
        # A library without a program: the tests start three servers with it.
        db | all) [ -e /usr/lib/galera/libgalera_smm.so ] || missing="$missing galera-4" ;;
    esac
    case $tier in
        web | all)
            # Debian's is without a window; Ubuntu has a snap only.
            command -v chromium-headless-shell >/dev/null || need chromium chromium-headless-shell
            [ -d /usr/share/fonts/truetype/nanum ] || missing="$missing fonts-nanum"
            scripts/unpack.sh nginx usr/sbin/nginx || echo "going on without nginx" >&2 ;;
    esac
    case $tier in
        kernel | host | fleet | vm | k8s | all)
            need ip iproute2
            need ethtool ethtool
            need ping iputils-ping
            need sysctl procps
            need mount mount
            need unshare util-linux
            need nsenter util-linux ;;
    esac
    case $tier in
        kernel | all) scripts/prometheus.sh || echo "going on without prometheus" >&2 ;;
    esac
    case $tier in
        host | fleet | vm | k8s | all)
            need mmdebstrap mmdebstrap
            need dh debhelper
            # Ubuntu does not have the keys of the Debian that is booted.
            [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$missing debian-archive-keyring" ;;
    esac
    case $tier in
        vm | all)
            need qemu-system-x86_64 qemu-system-x86
            need buildah buildah
            need mke2fs e2fsprogs ;;
    esac
    case $tier in
        host | fleet | k8s | all)
            need dnsmasq dnsmasq-base
            need systemd-nspawn systemd-container ;;
    esac
    case $tier in
        k8s | all)
            need gcc gcc
            [ -e /usr/include/stdlib.h ] || missing="$missing libc6-dev" ;;
    esac
    case $tier in
        fleet | k8s | all)
            need buildah buildah
            need npm npm
            need ssh-keygen openssh-client
            need unzip unzip ;;
    esac
    case $tier in
        host | all)
            need rpmbuild rpm
            need dnf dnf
            need zypper zypper
            need createrepo_c createrepo-c ;;
    esac
done

# shellcheck disable=SC2086 # several words on purpose
[ -z "$missing" ] || scripts/install-packages.sh $missing || echo "going on without them" >&2
case " $* " in
    *fleet* | *all*) scripts/helm.sh || echo "going on without helm" >&2 ;;
esac
