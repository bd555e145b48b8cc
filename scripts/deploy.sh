#!/bin/sh
# Put multinic onto every node of a Kubernetes cluster, without a registry: build the image, copy it to the nodes,
# install the chart, wait, and ask every node how it fares. Running it again is safe.
#   scripts/deploy.sh [--dry-run] [--values FILE]... [--set NAME=VALUE]...
#   NAMESPACE=multinic DB_PASSWORD=... scripts/deploy.sh --set database.host=db1.example.com
# --dry-run looks at the cluster, the nodes and the chart, shows every step and changes nothing.
# --values and --set are helm's: deployments/helm/multinic/README.md.
# Variables, with what they are by default:
#   NAMESPACE=default  RELEASE_NAME=multinic-agent  IMAGE_NAME=multinic  IMAGE_TAG=<version>
#   SSH_USER=$USER  SSH_PASSWORD=<empty: keys>     to log in to the nodes; the same password for sudo there
#   DB_PASSWORD=<empty>        kept in a Secret; or name a Secret of yours: --set database.existingSecret=NAME
#   BATCHES=<empty>            how many nodes at a time get the new pod, such as "1 10% 50%": each batch is judged
#                              before the next, SOAK=30 seconds later. Empty: the cluster does it, one by one
#   IMAGE_ARCHIVE=<empty>      an image that was built elsewhere and saved, instead of building one
#   BASE_IMAGE=<empty>         another base than the Dockerfile's      TIMEOUT=10m   for the last pod
# Needs helm (3.13 or newer), kubectl, ssh, one of nerdctl, podman, buildah and docker, and Ansible (else it gets
# that with pip into .venv-fleet). It does its work in ansible/playbooks/deploy.yml.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)

die() {
    printf '%s\n' "$@" >&2
    exit 2
}

HELM_ARGUMENTS='' check=
add() {
    HELM_ARGUMENTS="$HELM_ARGUMENTS$1
"
}
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"; exit ;;
        --dry-run) check=--check ;;
        -f | --values)
            [ -r "${2:-}" ] || die "--values needs a file that can be read, and ${2:-nothing} is none"
            add --values
            add "$(cd "$(dirname "$2")" && pwd)/$(basename "$2")"
            shift ;;
        --set | --set-string)
            case ${2:-} in
                *database.password=*)
                    die "A password on the command line can be read by every user of this machine:" \
                        "put it into DB_PASSWORD." ;;
                *=*) add "$1"; add "$2"; shift ;;
                *) die "$1 needs NAME=VALUE" ;;
            esac ;;
        *) die "unknown argument: $1 (--help shows all)" ;;
    esac
    shift
done
[ -n "${IMAGE_TAG:-}" ] || IMAGE_TAG=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$here/multinic/__init__.py")
export HELM_ARGUMENTS IMAGE_TAG CHECKOUT="$here"

playbook=$(command -v ansible-playbook) || {
    (cd "$here" && scripts/setup.sh fleet)
    playbook=$here/.venv-fleet/bin/ansible-playbook
}
# The collection as it stands in this checkout, under the name that it has when it is installed.
collections=$here/build/deploy/collections
mkdir -p "$collections/ansible_collections/multinic"
ln -sfn "$here/ansible" "$collections/ansible_collections/multinic/multinic"
export ANSIBLE_COLLECTIONS_PATH="$collections"
export ANSIBLE_DISPLAY_SKIPPED_HOSTS=no ANSIBLE_CALLBACK_RESULT_FORMAT=yaml ANSIBLE_RETRY_FILES_ENABLED=no
# shellcheck disable=SC2086 # nothing, or one word
exec "$playbook" multinic.multinic.deploy --inventory localhost, $check
