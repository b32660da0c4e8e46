#!/bin/sh
# Formatting, lints and every test; then which servers were used, and as the very last line
# "N passed, N failed" over all test binaries. Any failure makes the exit code 1.
set -u
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed_steps=

step() {
    name=$1
    shift
    printf '\n== %s\n' "$name"
    "$@" || failed_steps="$failed_steps $name;"
}

# Most tests wait: for a second look, a failover, a server that starts. Twice as many as there are processors keep them
# busy; the tests' own limits are made for far more load than that.
: "${RUST_TEST_THREADS:=$(($(nproc) * 2))}"
export RUST_TEST_THREADS

run_tests() {
    # The exit code travels by a file, since a pipe keeps only that of `tee`.
    { cargo test --no-fail-fast 2>&1; echo "exit code $?" >"$log.code"; } | tee "$log"
    code=$(cat "$log.code" 2>/dev/null)
    rm -f "$log.code"
    [ "$code" = "exit code 0" ]
}

mysql_line() {
    for candidate in "${AUDITOR_MYSQLD:-}" .cache/servers/mysql/mysqld "$(command -v mysqld)"; do
        [ -n "$candidate" ] && [ -x "$candidate" ] || continue
        version=$("$candidate" --no-defaults --version 2>/dev/null) || continue
        case $version in
            *MariaDB*) ;;
            *) echo "MySQL: $(echo "$version" | sed 's/^.*Ver //')"; return ;;
        esac
    done
    not_tested MySQL mysql
}

# The title of a server that answers as Redis does, its name below .cache/servers, and where its program may be.
redis_line() {
    title=$1 name=$2
    shift 2
    for candidate in "$@"; do
        [ -n "$candidate" ] && [ -x "$candidate" ] || continue
        version=$("$candidate" --version 2>/dev/null) || continue
        echo "$title: $(echo "$version" | sed 's/^.* v=\([^ ]*\).*/\1/')"
        return
    done
    not_tested "$title" "$name"
}

schemas_line() {
    if [ -e .cache/kubernetes/package ]; then
        echo "Kubernetes schemas: $(cut -d ' ' -f 2,3 .cache/kubernetes/package)"
    else
        echo "Kubernetes manifests: NOT TESTED TODAY because $(cat .cache/kubernetes.reason 2>/dev/null ||
            echo "the schemas were not found; run make setup")"
    fi
}

# A second release build is not made for a test: `make static` makes one.
static_line() {
    binary=target/$(uname -m)-unknown-linux-musl/release/auditor
    if [ -x "$binary" ]; then
        echo "static binary: $("$binary" --version)"
    else
        echo "static binary: NOT TESTED TODAY because it was not built; run make static"
    fi
}

not_tested() {
    reason=$(cat ".cache/servers/$2.reason" 2>/dev/null)
    echo "$1: NOT TESTED TODAY because ${reason:-none was found; run make setup}"
}

count() {
    sed -n "s/^test result: .* \([0-9][0-9]*\) $1.*/\1/p" "$log" | awk '{ sum += $1 } END { print sum + 0 }'
}

step formatting cargo fmt --check
step lints cargo clippy --all-targets -- -D warnings
step tests run_tests

passed=$(count passed)
failed=$(count failed)
printf '\nservers used:\n'
redis_line Redis installed-redis "$(command -v redis-server)"
redis_line "current Redis" redis .cache/servers/redis/redis-server
redis_line Valkey valkey .cache/servers/valkey/valkey-server "$(command -v valkey-server)"
echo "MariaDB: $(mariadbd --no-defaults --version 2>&1 | sed 's/^.*Ver //')"
mysql_line
schemas_line
static_line
[ -z "$failed_steps" ] || echo "FAILED:$failed_steps"
echo "$passed passed, $failed failed"
[ -z "$failed_steps" ]
