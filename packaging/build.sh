#!/bin/sh
# Build packages into dist/ (or $DIST), or let lintian and rpmlint look at what was built.
#   packaging/build.sh deb|rpm|lint-deb|lint-rpm ...
# Only fetching the libraries needs the network. Files that are not in git are not packaged. The same commit makes
# the same package, byte for byte. RELEASE counts rpms of one version.
set -eu
cd "$(dirname "$0")/.."
# What git knows is what is packaged.
command -v git >/dev/null || scripts/install-packages.sh git
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' multinic/__init__.py)
name=multinic-$version
work=build/packages
dist=${DIST:-dist}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH LC_ALL=C.UTF-8 TZ=UTC
umask 022

# need PROGRAM... : install the packages of what is missing; Debian's packages are called as their programs here.
need() {
    missing=
    for program; do
        case $program in dh) package=debhelper ;; rpmbuild) package=rpm ;; *) package=$program ;; esac
        command -v "$program" >/dev/null || missing="$missing $package"
    done
    # shellcheck disable=SC2086 # several words on purpose
    [ -z "$missing" ] || scripts/install-packages.sh $missing
}

# A tree with all that a build needs, in $work/$name.
source_tree() {
    packaging/vendor.sh build/vendor
    rm -rf "${work:?}/$name"
    mkdir -p "$work/$name"
    git ls-files -z | grep -zv '^tests/\|^bench/\|^\.' | xargs -0 cp -p --parents -t "$work/$name"
    cp -R build/vendor "$work/$name/vendor"
    find "$work/$name" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

deb() {
    need dh
    source_tree
    tree=$work/$name
    cp -R packaging/deb "$tree/debian"
    cat >"$tree/debian/changelog" <<END
multinic ($version) unstable; urgency=medium

  * This version; what changed for users is in CHANGELOG.md.

 -- The multinic developers <multinic@localhost>  $(date --date="@$SOURCE_DATE_EPOCH" -R)
END
    # Nothing is compiled, so the compilers are not needed that dpkg would look for (build-essential).
    (cd "$tree" && dpkg-buildpackage --no-check-builddeps --build=binary --unsigned-source --unsigned-changes) \
        >"$work/deb.log" 2>&1 || { cat "$work/deb.log" >&2; exit 1; }
    mv "$work/multinic_${version}_all.deb" "$dist"
}

lint_deb() {
    need lintian
    lintian --tag-display-limit 0 --fail-on error,warning --allow-root "$dist/multinic_${version}_all.deb"
}

rpm() {
    need rpmbuild
    source_tree
    top=$PWD/$work/rpm
    rm -rf "$top"
    mkdir -p "$top/SOURCES"
    tar --create --gzip --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
        --directory "$work" --file "$top/SOURCES/$name.tar.gz" "$name"
    # Other distributions' names of what a build needs are unknown where rpm is a guest.
    nodeps=
    [ -e /etc/redhat-release ] || [ -e /etc/SUSE-brand ] || nodeps=--nodeps
    rpmbuild -bb $nodeps --define "_topdir $top" --define "version_of_multinic $version" \
        --define "release_of_multinic ${RELEASE:-1}" --define "epoch_of_multinic $SOURCE_DATE_EPOCH" --define "packager The multinic developers" \
        --define "_buildhost localhost" --define "use_source_date_epoch_as_buildtime 1" \
        --define "clamp_mtime_to_source_date_epoch 1" \
        packaging/rpm/multinic.spec >"$work/rpm.log" 2>&1 || { cat "$work/rpm.log" >&2; exit 1; }
    mv "$top"/RPMS/noarch/*.rpm "$dist"
}

lint_rpm() {
    need rpmlint
    rpmlint --config packaging/rpm/rpmlint.toml "$dist/multinic-$version-${RELEASE:-1}.noarch.rpm"
}

mkdir -p "$dist" "$work"
exec 9>"$work/lock"
flock 9
for step; do
    case $step in
        deb | rpm) "$step" ;;
        lint-deb | lint-rpm) "lint_${step#lint-}" ;;
        *) echo "there is no step $step" >&2; exit 2 ;;
    esac
done
