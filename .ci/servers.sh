#!/bin/sh
# Unpacks the newest MySQL, Redis and Valkey that Debian packages (suite sid) below .cache/servers, each
# with every library it needs, its own libc included, so that it runs beside whatever this system has.
#
#     .ci/servers.sh                  all of them
#     .ci/servers.sh redis valkey     these
#
# Nothing is installed: apt works here with folders of its own, its signatures checked by the archive's
# keyring, and the servers run through the unpacked loader. A day without a usable package is not a
# failure: the reason is left in .cache/servers/NAME.reason, for `make test` to print, and the exit
# code is 0. An older copy that works is kept and used.
set -eu
umask 022
cd "$(dirname "$0")/.."

suite=sid
mkdir -p .cache/servers
servers=$(pwd)/.cache/servers

say() { printf '%s\n' "setup: $*" >&2; }

# What is to be known of a server: its title, its package, its program and where that lies in the package.
describe() {
    case $1 in
        mysql) title=MySQL package=mysql-server-core program=mysqld binary=usr/sbin/mysqld ;;
        redis) title="current Redis" package=redis-server program=redis-server binary=usr/bin/redis-server ;;
        valkey) title=Valkey package=valkey-server program=valkey-server binary=usr/bin/valkey-server ;;
        *) say "there is no server $1: mysql, redis or valkey"; exit 2 ;;
    esac
    name=$1
    home=$servers/$name
    reason=$servers/$name.reason
    work=$servers/$name.work
    launcher=$work/$program
}

# Ends the work on one server, which is a subshell of its own.
give_up() {
    rm -rf "$work"
    if [ -x "$home/$program" ]; then
        say "no newer $title today ($1); the copy from before is used"
        rm -f "$reason"
    else
        printf '%s\n' "$1" >"$reason"
        say "******************************************************************"
        say "$title: NOT TESTED TODAY because $1"
        say "******************************************************************"
    fi
    exit 0
}

apt_here() {
    tool=$1
    shift
    "$tool" \
        -o Dir::State="$index/state" \
        -o Dir::State::lists="$index/state/lists" \
        -o Dir::State::status="$index/status" \
        -o Dir::State::extended_states="$index/state/extended" \
        -o Dir::Cache="$index/cache" \
        -o Dir::Cache::archives="$index/cache/archives" \
        -o Dir::Etc::sourcelist="$index/sources.list" \
        -o Dir::Etc::sourceparts="$index/none" \
        -o Dir::Etc::preferences="$index/nothing" \
        -o Dir::Etc::preferencesparts="$index/none" \
        -o APT::Default-Release= \
        -o APT::Architectures::="$architecture" \
        -o APT::Install-Recommends=false \
        -o APT::Sandbox::User="$(id -un)" \
        -o Acquire::Languages=none \
        -o Acquire::Retries=3 \
        -o Acquire::Check-Valid-Until=false \
        "$@"
}

# The mirror this machine already uses for Debian, else Debian's own.
debian_mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
        sed -n '\,/debian/*$,p' | head -n 1
}

# Fetches the index that all servers are looked up in; prints why there is none.
prepare_index() {
    for tool in apt-get apt-cache dpkg dpkg-deb timeout; do
        command -v "$tool" >/dev/null 2>&1 || { echo "this system has no $tool"; return; }
    done
    architecture=$(dpkg --print-architecture)
    mkdir -p "$index/state/lists/partial" "$index/cache/archives/partial" "$index/none"
    : >"$index/status"
    for keyring in /usr/share/keyrings/debian-archive-keyring.pgp /usr/share/keyrings/debian-archive-keyring.gpg; do
        [ -r "$keyring" ] && break
    done
    [ -r "$keyring" ] || { echo "the Debian archive's keys are missing (package debian-archive-keyring)"; return; }
    mirror=$(debian_mirror)
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "${mirror:-http://deb.debian.org/debian}" "$suite" \
        >"$index/sources.list"
    apt_here apt-get update -qq >&2 || echo "the index of Debian $suite could not be fetched and verified"
}

unpack() {
    # An empty status file: everything it needs counts as missing, so the closure is whole.
    closure=$(apt_here apt-get -s install "$package" 2>/dev/null | sed -n 's/^Inst \([^ ]*\) .*/\1/p')
    [ -n "$closure" ] || give_up "$package of Debian $suite cannot be resolved today"
    rm -rf "$work"
    mkdir -p "$work/debs" "$work/root"
    # Several words on purpose.
    # shellcheck disable=SC2086
    (cd "$work/debs" && apt_here apt-get download -qq $closure) ||
        give_up "the packages of Debian $suite could not be downloaded"
    for archive in "$work"/debs/*.deb; do
        dpkg-deb -x "$archive" "$work/root" || give_up "$(basename "$archive") could not be unpacked"
    done
    rm -rf "$work/debs" "$work/root/usr/share/doc" "$work/root/usr/share/man" "$work/root/usr/share/perl"
}

# What MySQL has to be told because it does not lie where it was built for; of the launcher's own variables.
own_arguments() {
    case $name in
        mysql) printf '%s' ' --basedir="$root/usr" --plugin-dir="$root/usr/lib/mysql/plugin"' \
            ' --lc-messages-dir="$root/usr/share/mysql" --character-sets-dir="$root/usr/share/mysql/charsets"' ;;
    esac
}

# Writes a script at $1 that runs the unpacked program $2 with the C library that came with it.
write_launcher() {
    libraries=$(find "$work/root" -name libc.so.6 -exec dirname {} \; | head -n 1)
    loader=$(find "$work/root" \( -name 'ld-linux*.so*' -o -name 'ld64.so*' \) | head -n 1)
    { [ -n "$libraries" ] && [ -n "$loader" ]; } || give_up "the unpacked packages hold no C library"
    cat >"$1" <<LAUNCHER
#!/bin/sh
# Written by .ci/servers.sh: the unpacked program with the C library that came with it.
root=\$(dirname "\$(readlink -f "\$0")")/root
exec "\$root${loader#"$work/root"}" --library-path "\$root${libraries#"$work/root"}" "\$root/$2" "\$@"$(own_arguments)
LAUNCHER
    chmod 755 "$1"
}

# Whether the unpacked program starts and answers; it works in the folder $proof and logs there.
prove() {
    proof=$(mktemp -d)
    case $name in
        mysql) prove_mysql || true ;;
        *) prove_redis || true ;;
    esac
    answer=$(cat "$proof/answer" 2>/dev/null || true)
    last=$(grep -a -i error "$proof/log" 2>/dev/null | tail -n 1 || true)
    rm -rf "$proof"
    [ "$answer" = 42 ] || give_up "the unpacked $title does not run here: ${last:-no answer}"
}

# Initialises a data folder, then starts on it and has it write an answer and shut itself down.
prove_mysql() {
    user=
    [ "$(id -u)" = 0 ] && user=--user=root
    printf "SELECT 6*7 INTO OUTFILE '%s/answer';\nSHUTDOWN;\n" "$proof" >"$proof/init.sql"
    timeout 120 "$launcher" --no-defaults --initialize-insecure --datadir="$proof/data" $user \
        >"$proof/log" 2>&1 &&
        timeout 120 "$launcher" --no-defaults --datadir="$proof/data" --secure-file-priv="$proof" \
            --init-file="$proof/init.sql" --socket="$proof/socket" --pid-file="$proof/pid" \
            --skip-networking --mysqlx=OFF --skip-log-bin $user >>"$proof/log" 2>&1
}

# Starts it on a socket of its own and asks by the client that came along.
prove_redis() {
    client=$proof/client
    write_launcher "$client" "${binary%-server}-cli"
    # It lies elsewhere than the root it names.
    sed -i "s|^root=.*|root=$work/root|" "$client"
    timeout 60 "$launcher" --port 0 --unixsocket "$proof/socket" --save '' --dir "$proof" >"$proof/log" 2>&1 &
    server=$!
    tries=0
    until [ "$("$client" -s "$proof/socket" PING 2>/dev/null)" = PONG ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || break
        sleep 0.1
    done
    timeout 10 "$client" -s "$proof/socket" EVAL 'return 6*7' 0 >"$proof/answer" 2>>"$proof/log" || true
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
}

bring() {
    describe "$1"
    [ -z "$no_index" ] || give_up "$no_index"
    version=$(apt_here apt-cache show "$package" 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
    [ -n "$version" ] || give_up "Debian $suite has no package $package today"
    if [ -x "$home/$program" ] && [ "$(cat "$home/version" 2>/dev/null)" = "$version" ]; then
        touch "$home/checked"
        rm -f "$reason"
        exit 0
    fi
    say "unpacking $title $version of Debian $suite below .cache/servers"
    unpack
    write_launcher "$launcher" "$binary"
    prove
    printf '%s\n' "$version" >"$work/version"
    touch "$work/checked"
    rm -rf "$home"
    mv "$work" "$home"
    rm -f "$reason"
    say "$title $version is ready"
}

# Once a day is often enough to ask for a newer one.
is_fresh() {
    describe "$1"
    [ -x "$home/$program" ] && [ -n "$(find "$home/checked" -mtime -1 2>/dev/null)" ] && rm -f "$reason"
}

[ $# -gt 0 ] || set -- mysql redis valkey
for wanted in "$@"; do
    shift
    is_fresh "$wanted" || set -- "$@" "$wanted"
done
[ $# -gt 0 ] || exit 0
index=$(mktemp -d)
trap 'rm -rf "$index"' EXIT
no_index=$(prepare_index)
architecture=$(dpkg --print-architecture 2>/dev/null || true)
for wanted in "$@"; do
    (bring "$wanted") || say "$wanted could not be unpacked"
done
