#!/bin/sh
# Run the unit tier on every Python that multinic supports and this machine has, each in an environment of its own, and
# more on the oldest of them, with the lowest versions that pyproject.toml allows.
#   scripts/test-pythons.sh
# Properties (hypothesis) are tried on the oldest, with those versions, and on the newest. TESTED names the version whose
# unit tier has just run elsewhere and needs no other run.
set -eu
cd "$(dirname "$0")/.."
absent= failed= oldest= newest=

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
    MULTINIC_TEST_REQUIRE='' "$VENV/bin/python" -m pytest -q -n 3 --tiers="$tiers_of" "$@" || failed="$failed $name"
}

versions=$(sed -n 's/.*"Programming Language :: Python :: \(3\.[0-9]*\)".*/\1/p' pyproject.toml)
for version in $versions; do
    if python=$(find_python "$version"); then
        oldest=${oldest:-$python}
        newest=$version
    else
        absent="$absent $version"
    fi
done
for version in $versions; do
    python=$(find_python "$version") || continue
    if [ "$version" = "${TESTED:-}" ]; then
        echo "== $version: tested before =="
    elif [ "$version" = "$newest" ]; then
        run "$version" "$python" requirements/run.txt unit
    else
        run "$version" "$python" requirements/run.txt unit -m "not hypothesis"
    fi
done
# Old versions of the libraries show themselves where the libraries are really used: databases, and changes of links.
# Left out is what compares us with pyroute2's own decoding, which was poorer then.
[ -z "$oldest" ] || run lowest "$oldest" requirements/lowest.txt "unit db kernel" tests/unit tests/golden tests/db \
    tests/kernel/test_converging.py tests/kernel/test_drift.py tests/kernel/test_failing.py

[ -z "$absent" ] || echo "Not on this machine, so not tried: Python$absent"
[ -n "$oldest" ] || { echo "No Python was tried." >&2; exit 1; }
[ -z "$failed" ] || { echo "Failed:$failed" >&2; exit 1; }
