#!/bin/sh
# Make .venv ready for `run` (the program), `test` and `lint`, from the versions in requirements/.
#   scripts/setup.sh run [test] [lint]
#   scripts/setup.sh web       all of these, the dashboard and a browser's remote control, in .venv-web: no host needs them
#   scripts/setup.sh docs      what makes the site of the documentation, in .venv-docs
#   scripts/setup.sh fleet     Ansible, in .venv-fleet: what it brings (cryptography) changes how PyMySQL logs in
# Does nothing where nothing changed. PYTHON, VENV and REQUIREMENTS choose another interpreter, another place, and
# other versions for `run`.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
venv=${VENV:-.venv}
[ "$*" != fleet ] || venv=$venv-fleet
[ "$*" != docs ] || venv=$venv-docs
[ "$*" != web ] || { venv=$venv-web && set -- run test dashboard web; }

die() {
    printf '%s\n' "$@" >&2
    exit 1
}

command -v "$python" >/dev/null || die "$python is not here; install it (Debian, Ubuntu: apt-get install python3)."
# A name on the PATH may be a version manager's shim for a Python that is not installed: ask it.
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || die "$python does not run."
case $version in
    2.* | 3.[0-9])
        die "multinic needs Python 3.10 or newer; $python is $version." \
            "Name a newer one: PYTHON=python3.12 make ..." ;;
esac

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    scripts/install-packages.sh "python$version-venv"
fi

# An environment belongs to one interpreter and, as it cannot be moved, to one directory. What was installed into it
# stands in files there: a later run compares and has nothing to do.
base=$("$python" -c 'import sys; print(sys.executable, sys.version)'; pwd)
if [ "$(cat "$venv/made-for" 2>/dev/null)" != "$base" ]; then
    # Another checkout's, which making it anew would take away from there.
    [ ! -L "$venv" ] || die "$venv is a link to $(readlink "$venv"); remove the link, or name another place: VENV=..."
    echo "setting up $venv (Python $version)" >&2
    "$python" -m venv --clear "$venv"
    echo "$base" >"$venv/made-for"
fi

pip() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}

for group; do
    requirements=requirements/$group.txt
    [ "$group" != run ] || requirements=${REQUIREMENTS:-$requirements}
    inputs=$(cat pyproject.toml "$requirements" | cksum)
    [ "$(cat "$venv/installed-$group" 2>/dev/null)" != "$inputs" ] || continue
    echo "installing $requirements" >&2
    pip --requirement "$requirements"
    [ "$group" != run ] || pip --no-deps --no-build-isolation --editable .
    echo "$inputs" >"$venv/installed-$group"
done
