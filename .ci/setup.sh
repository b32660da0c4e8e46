#!/bin/sh
# Installs the servers that the demo and the tests start, where they are missing.
#
#     .ci/setup.sh               redis-server, redis-sentinel and MariaDB (or MySQL), from this system's packages
#     .ci/setup.sh --with-newest the same, and a current MySQL, Redis and Valkey unpacked below .cache/servers,
#                                and Kubernetes' schemas below .cache/kubernetes
#
# No system service is started or left running, no package is removed, and the data of a server that
# is already installed is not touched: the lab only ever starts servers of its own in temporary folders.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "setup: $*" >&2; }

has() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        say "root is needed for: $*"
        say "run it as root, or install sudo, and start again"
        exit 1
    fi
}

missing_packages() {
    has cc || echo gcc libc6-dev
    has openssl || echo openssl
    has redis-server || echo redis-server
    has redis-sentinel || echo redis-sentinel
    has mariadbd || has mysqld || echo database-server
}

# The -core packages are the servers without a system service; older releases put a version into the name.
database_package() {
    versioned=$(apt-cache search --names-only '^mariadb-server-core-[0-9.]+$' | cut -d ' ' -f 1 | sort | tail -n 1)
    for candidate in mariadb-server-core $versioned mysql-server-core mysql-server-core-8.0; do
        if apt-cache show "$candidate" >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    say "this system's package lists know neither a MariaDB nor a MySQL server"
    exit 1
}

# Packages start their services when they are installed, unless this file says no.
services_forbidden=
forbid_services() {
    [ -e /usr/sbin/policy-rc.d ] && return
    services_forbidden=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
    as_root chmod 755 /usr/sbin/policy-rc.d
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT INT TERM
}

allow_services() {
    [ -n "$services_forbidden" ] || return 0
    trap - EXIT INT TERM
    as_root rm -f /usr/sbin/policy-rc.d
}

# Only services that came with this very installation: one that was there before is somebody's.
keep_services_off() {
    has systemctl || return 0
    for package in "$@"; do
        case $package in
            redis-server | redis-sentinel) as_root systemctl disable "$package" >/dev/null 2>&1 || true ;;
        esac
    done
}

install_packages() {
    has apt-get || {
        say "these are missing and there is no apt-get to install them: $*"
        exit 1
    }
    say "missing, to be installed: $*"
    as_root apt-get update -qq
    for package in "$@"; do
        shift
        [ "$package" != database-server ] || package=$(database_package)
        set -- "$@" "$package"
    done
    forbid_services
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-remove --no-install-recommends "$@"
    keep_services_off "$@"
    allow_services
}

has cargo || {
    say "cargo was not found: install Rust 1.94 or later first, see https://rustup.rs"
    exit 1
}
packages=$(missing_packages | tr '\n' ' ')
if [ -n "$packages" ]; then
    # Several words on purpose.
    # shellcheck disable=SC2086
    install_packages $packages
fi
if [ "${1:-}" = --with-newest ]; then
    .ci/servers.sh
    .ci/schemas.sh
fi
