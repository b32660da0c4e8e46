#!/bin/sh
# Unpacks Kubernetes' published JSON schemas below .cache/kubernetes, by which the manifests in jobs/kubernetes are
# tested. They come from the Python package kubernetes-validate, pinned by its hash; nothing is installed or run.
#
# A day without it is not a failure: the reason is left in .cache/kubernetes.reason, for `make test` to
# print, and the exit code is 0.
set -eu
umask 022
cd "$(dirname "$0")/.."

package=kubernetes-validate==1.37.0
hash=85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9
# The oldest that the manifests need, and the newest that the package has.
versions="1.33 1.37"
kinds="configmap-v1 persistentvolumeclaim-v1 cronjob-batch-v1 job-batch-v1 deployment-apps-v1 _definitions"
home=.cache/kubernetes

say() { printf '%s\n' "setup: $*" >&2; }

give_up() {
    printf '%s\n' "$1" >.cache/kubernetes.reason
    say "******************************************************************"
    say "Kubernetes manifests: NOT TESTED TODAY because $1"
    say "******************************************************************"
    exit 0
}

[ "$(cat "$home/package" 2>/dev/null)" = "$package $versions $kinds" ] && exit 0
mkdir -p .cache
work=$(mktemp -d .cache/kubernetes.XXXXXX)
trap 'rm -rf "$work"' EXIT

python3 -m pip --version >/dev/null 2>&1 || give_up "this system has no pip (package python3-pip)"
printf '%s --hash=sha256:%s\n' "$package" "$hash" >"$work/requirements"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --dest "$work/wheel" --requirement "$work/requirements" >&2 ||
    give_up "the Python package $package could not be downloaded"
python3 -m zipfile -e "$work"/wheel/*.whl "$work/unpacked" || give_up "the package $package could not be unpacked"
for version in $versions; do
    from=$work/unpacked/kubernetes_validate/kubernetes-json-schema/v$version.0-local-strict
    mkdir -p "$work/schemas/$version"
    for kind in $kinds; do
        cp "$from/$kind.json" "$work/schemas/$version/" || give_up "the package $package holds no $kind of $version"
    done
done
printf '%s\n' "$package $versions $kinds" >"$work/schemas/package"
rm -rf "$home"
mv "$work/schemas" "$home"
rm -f .cache/kubernetes.reason
say "the schemas of Kubernetes $versions are ready"
