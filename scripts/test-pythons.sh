#!/bin/sh
# Run the unit tier on every Python that multinic supports and this machine has, each in an environment of its own, and
# more on the oldest of them, with the lowest versions that pyproject.toml allows. The newest is taken from Debian's
# unstable suite where the machine lacks it (as root), and in CI it must be tried.
#   scripts/test-pythons.sh
# Properties (hypothesis) are tried on the oldest, with those versions, and on the newest. TESTED names the version whose
# unit tier has just run elsewhere and needs no other run. PYTHONS=ends tries only the oldest, with the lowest versions,
# and the newest, as CI does.
set -eu
cd "$(dirname "$0")/.."
absent= failed= oldest= newest= from_debian=

# Print the path of Python $1. A name on the PATH may be a shim of pyenv for a version that is not switched on.
find_python() {
    for python in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python"$1"; do
        "$python" -c 'import sys, venv, ensurepip; print(sys.executable)' 2>/dev/null && return
    done
    return 1
}

# run NAME PYTHON REQUIREMENTS TIERS [TESTS...]
run() {
    echo "== $1: $4 =="
    VENV=build/venv-$1
    export VENV
    PYTHON=$2 REQUIREMENTS=$3 scripts/setup.sh run test
    name=$1 tiers_of=$4
    shift 4
    MULTINIC_TEST_REQUIRE='' "$VENV/bin/python" -m pytest -q -n 3 -o faulthandler_timeout=600 \
        --tiers="$tiers_of" "$@" && return
    # Time limits share the machine with other workers here, too.
    echo "== $name failed, so what failed is tried once more, alone: =="
    MULTINIC_TEST_REQUIRE='' "$VENV/bin/python" -m pytest -q --last-failed --last-failed-no-failures=none \
        --tiers="$tiers_of" "$@" || failed="$failed $name"
}

# Run the unit tier on Python $1 in a root of Debian's unstable suite, which is made for that and gone afterwards.
run_in_debian() {
    echo "== $1: unit, in Debian unstable =="
    carried=$(mktemp -d)
    tar -cf "$carried/checkout.tar" --transform 's,^\.,srv/multinic,' --exclude='./.[!ci]*' --exclude=./build \
        --exclude=./dist --exclude=__pycache__ .
    # How this machine reaches the package index, and whom it trusts.
    for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf"; do
        [ ! -e "$file" ] || tar -rhf "$carried/checkout.tar" -P --transform 's,^/,,' "$file"
    done
    cat >"$carried/test" <<END
set -eu
cd /srv/multinic
python3 -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$1" and "unstable has Python " + sys.version)'
unset PYTHON VENV REQUIREMENTS
scripts/setup.sh run test
MULTINIC_TEST_REQUIRE='' .venv/bin/python -m pytest -q -n 3 --tiers=unit
END
    # The mirror may be some days behind, or the clock of the machine ahead.
    mmdebstrap --quiet --mode=root --variant=apt --format=null --aptopt='Acquire::Check-Valid-Until "false"' \
        --include=python3,python3-venv,ca-certificates \
        --customize-hook="tar-in $carried/checkout.tar /" \
        --customize-hook="chroot \"\$1\" sh <$carried/test" \
        unstable /dev/null || failed="$failed $1"
    rm -r "$carried"
}

versions=$(sed -n 's/.*"Programming Language :: Python :: \(3\.[0-9]*\)".*/\1/p' pyproject.toml)
for version in $versions; do
    if python=$(find_python "$version"); then
        oldest=${oldest:-$python}
    else
        absent="$absent $version"
    fi
    newest=$version
done
case " $absent " in
    *" $newest "*)
        [ "$(id -u)" != 0 ] || command -v mmdebstrap >/dev/null ||
            scripts/install-packages.sh mmdebstrap debian-archive-keyring || true
        if [ "$(id -u)" = 0 ] && command -v mmdebstrap >/dev/null; then
            from_debian=yes
            absent=${absent% "$newest"}
        fi ;;
esac
for version in $versions; do
    if [ "$version" = "${TESTED:-}" ]; then
        echo "== $version: tested before =="
    elif python=$(find_python "$version"); then
        if [ "$version" = "$newest" ]; then
            run "$version" "$python" requirements/run.txt unit
        elif [ "${PYTHONS:-}" = ends ]; then
            echo "== $version: not one of the ends =="
        else
            run "$version" "$python" requirements/run.txt unit -m "not hypothesis"
        fi
    elif [ "$version$from_debian" = "${newest}yes" ]; then
        run_in_debian "$version"
    fi
done
# Old versions of the libraries show themselves where the libraries are really used: databases, and changes of links.
# Left out is what compares us with pyroute2's own decoding, which was poorer then.
[ -z "$oldest" ] || run lowest "$oldest" requirements/lowest.txt "unit db kernel" tests/unit tests/golden tests/db \
    tests/kernel/test_converging.py tests/kernel/test_drift.py tests/kernel/test_failing.py

[ -z "$absent" ] || echo "== Not on this machine, so not tried: Python$absent =="
[ -n "$oldest" ] || { echo "No Python was tried." >&2; exit 1; }
case " $absent " in
    *" $newest "*)
        echo "Python $newest was not tried: it needs python$newest, or root and mmdebstrap." >&2
        [ -z "${CI:-}" ] && [ "${MULTINIC_TEST_REQUIRE:-}" != all ] || failed="$failed $newest" ;;
esac
[ -z "$failed" ] || { echo "Failed:$failed" >&2; exit 1; }
