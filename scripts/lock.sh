#!/bin/sh
# Choose versions for everything that pyproject.toml names and write them to requirements/, for Python 3.10 and later:
# the newest ones, in lowest.txt the lowest ones that it allows, and in vendor.txt, with hashes, what packages bring.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}

"$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
compile() {
    "$venv/bin/uv" pip compile --quiet --universal --python-version 3.10 --upgrade \
        --custom-compile-command "make lock" "$@"
}
# Each file fits the ones before it: they are installed into one environment.
compile pyproject.toml --group build --output-file requirements/run.txt
compile --group test --constraint requirements/run.txt --output-file requirements/test.txt
compile --group lint --constraint requirements/run.txt --constraint requirements/test.txt \
    --output-file requirements/lint.txt
compile pyproject.toml --group build --resolution lowest-direct --output-file requirements/lowest.txt
# One package serves every Python: as for the oldest, which needs most.
"$venv/bin/uv" pip compile --quiet --python-platform linux --python-version 3.10 --upgrade --generate-hashes \
    --custom-compile-command "make lock" pyproject.toml --constraint requirements/run.txt \
    --output-file requirements/vendor.txt
