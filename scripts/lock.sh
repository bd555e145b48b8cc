#!/bin/sh
# Choose versions for everything that pyproject.toml names and write them to requirements/, with hashes, for Python
# 3.10 and later: the newest ones, in lowest.txt the lowest ones that it allows, and in vendor.txt what packages bring.
# What chooses them, and what lists those of packages (packaging/sbom.cdx.json), is pinned in requirements/lock.txt.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

"$venv/bin/python" -m venv "$tools"
"$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement requirements/lock.txt
compile() {
    "$tools/bin/uv" pip compile --quiet --universal --python-version 3.10 --upgrade --generate-hashes \
        --custom-compile-command "make lock" "$@"
}
# Each file fits the ones before it: they are installed into one environment.
compile pyproject.toml --extra metrics --group build --output-file requirements/run.txt
compile --group test --constraint requirements/run.txt --output-file requirements/test.txt
compile --group lint --constraint requirements/run.txt --constraint requirements/test.txt \
    --output-file requirements/lint.txt
compile pyproject.toml --extra dashboard --constraint requirements/run.txt --constraint requirements/test.txt \
    --output-file requirements/dashboard.txt
# The collection installs the same.
cp requirements/dashboard.txt ansible/roles/multinic/files/dashboard.txt
compile --group web --constraint requirements/test.txt --constraint requirements/dashboard.txt \
    --output-file requirements/web.txt
compile --group docs --output-file requirements/docs.txt
compile --group fleet --output-file requirements/fleet.txt
compile pyproject.toml --extra metrics --group build --resolution lowest-direct --output-file requirements/lowest.txt
# One package serves every Python: as for the oldest, which needs most.
"$tools/bin/uv" pip compile --quiet --python-platform linux --python-version 3.10 --upgrade --generate-hashes \
    --custom-compile-command "make lock" pyproject.toml --extra metrics --constraint requirements/run.txt \
    --output-file requirements/vendor.txt
"$tools/bin/cyclonedx-py" requirements requirements/vendor.txt --spec-version 1.6 --output-reproducible \
    --short-PURLs --output-file packaging/sbom.cdx.json
# Last of all its own tools: those that have just worked stay in use until the next time.
compile --group lock --output-file requirements/lock.txt
