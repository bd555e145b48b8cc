#!/bin/sh
# Fetch the libraries that the packages bring along, as pure Python: one package for every architecture and release.
#   packaging/vendor.sh DIR     makes DIR/lib and DIR/licenses, each time anew: what lies there may have been changed
# Needs .venv (scripts/setup.sh run). The hashes in requirements/vendor.txt say what may come.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
requirements=requirements/vendor.txt

echo "fetching $requirements" >&2
rm -rf "$1"
mkdir -p "$1/licenses"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: \
    --no-deps --no-compile --target "$1/lib" --requirement "$requirements"

# What was compiled is there as Python, too, and that is what is taken where the compiled one is missing.
find "$1/lib" \( -name '*.so' -o -name '*.c' -o -name '*.pyi' -o -name py.typed \) -delete
# Modules that can also be run: here nobody does.
find "$1/lib" -name '*.py' -exec sed -i '1{/^#!/d}' {} +
for info in "$1"/lib/*.dist-info; do
    library=$(basename "$info" .dist-info)
    library=${library%-*}
    find "$info" -type f \( -iname 'licen[cs]e*' -o -iname 'authors*' -o -iname 'copying*' -o -iname 'notice*' \) |
        while read -r file; do
            install -D -m 644 "$file" "$1/licenses/$library/$(basename "$file")"
        done
    [ -e "$1/licenses/$library" ] || {
        echo "$library comes without its licence" >&2
        exit 1
    }
done
rm -rf "$1/lib/bin" "$1"/lib/*.dist-info
if grep -rlaq "$(printf '\177ELF')" "$1/lib"; then
    echo "something compiled is left in $1/lib" >&2
    exit 1
fi
