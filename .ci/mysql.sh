#!/bin/sh
# Unpacks the newest MySQL that Debian packages (suite sid) below .cache/servers/mysql, with every
# library it needs, its own libc included, so that it runs beside whatever this system has.
#
# Nothing is installed: apt works here with folders of its own, its signatures checked by the archive's
# keyring, and the server runs through the unpacked loader. A day without a usable package is not a
# failure: the reason is left in .cache/servers/mysql.reason, for `make test` to print, and the exit
# code is 0. An older copy that works is kept and used.
set -eu
umask 022
cd "$(dirname "$0")/.."

suite=sid
package=mysql-server-core
mkdir -p .cache/servers
servers=$(pwd)/.cache/servers
home=$servers/mysql
reason=$servers/mysql.reason
work=$servers/mysql.work

say() { printf '%s\n' "setup: $*" >&2; }

give_up() {
    rm -rf "$work"
    if [ -x "$home/mysqld" ]; then
        say "no newer MySQL today ($1); the copy from before is used"
        rm -f "$reason"
    else
        printf '%s\n' "$1" >"$reason"
        say "******************************************************************"
        say "MySQL: NOT TESTED TODAY because $1"
        say "******************************************************************"
    fi
    exit 0
}

apt_here() {
    tool=$1
    shift
    "$tool" \
        -o Dir::State="$work/state" \
        -o Dir::State::lists="$work/state/lists" \
        -o Dir::State::status="$work/status" \
        -o Dir::State::extended_states="$work/state/extended" \
        -o Dir::Cache="$work/cache" \
        -o Dir::Cache::archives="$work/cache/archives" \
        -o Dir::Etc::sourcelist="$work/sources.list" \
        -o Dir::Etc::sourceparts="$work/none" \
        -o Dir::Etc::preferences="$work/nothing" \
        -o Dir::Etc::preferencesparts="$work/none" \
        -o APT::Default-Release= \
        -o APT::Architectures::="$architecture" \
        -o APT::Install-Recommends=false \
        -o APT::Sandbox::User="$(id -un)" \
        -o Acquire::Languages=none \
        -o Acquire::Retries=3 \
        "$@"
}

# The mirror this machine already uses for Debian, else Debian's own.
debian_mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
        sed -n '\,/debian/*$,p' | head -n 1
}

prepare_apt() {
    rm -rf "$work"
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/none" "$work/debs"
    : >"$work/status"
    for keyring in /usr/share/keyrings/debian-archive-keyring.pgp /usr/share/keyrings/debian-archive-keyring.gpg; do
        [ -r "$keyring" ] && break
    done
    [ -r "$keyring" ] || give_up "the Debian archive's keys are missing (package debian-archive-keyring)"
    mirror=$(debian_mirror)
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "${mirror:-http://deb.debian.org/debian}" "$suite" \
        >"$work/sources.list"
}

unpack() {
    # An empty status file: everything it needs counts as missing, so the closure is whole.
    closure=$(apt_here apt-get -s install "$package" 2>/dev/null | sed -n 's/^Inst \([^ ]*\) .*/\1/p')
    [ -n "$closure" ] || give_up "$package of Debian $suite cannot be resolved today"
    # Several words on purpose.
    # shellcheck disable=SC2086
    (cd "$work/debs" && apt_here apt-get download -qq $closure) ||
        give_up "the packages of Debian $suite could not be downloaded"
    mkdir "$work/root"
    for archive in "$work"/debs/*.deb; do
        dpkg-deb -x "$archive" "$work/root" || give_up "$(basename "$archive") could not be unpacked"
    done
    rm -rf "$work/root/usr/share/doc" "$work/root/usr/share/man" "$work/root/usr/share/perl"
}

write_launcher() {
    libraries=$(find "$work/root" -name libc.so.6 -exec dirname {} \; | head -n 1)
    loader=$(find "$work/root" \( -name 'ld-linux*.so*' -o -name 'ld64.so*' \) | head -n 1)
    { [ -n "$libraries" ] && [ -n "$loader" ]; } || give_up "the unpacked packages hold no C library"
    cat >"$work/mysqld" <<LAUNCHER
#!/bin/sh
# Written by .ci/mysql.sh: the unpacked mysqld with the C library that came with it.
home=\$(dirname "\$(readlink -f "\$0")")
root=\$home/root
exec "\$root${loader#"$work/root"}" --library-path "\$root${libraries#"$work/root"}" "\$root/usr/sbin/mysqld" "\$@" \\
    --basedir="\$root/usr" --plugin-dir="\$root/usr/lib/mysql/plugin" \\
    --lc-messages-dir="\$root/usr/share/mysql" --character-sets-dir="\$root/usr/share/mysql/charsets"
LAUNCHER
    chmod 755 "$work/mysqld"
}

# Initialises a data folder, then starts on it and has it write an answer and shut itself down.
prove() {
    proof=$(mktemp -d)
    user=
    [ "$(id -u)" = 0 ] && user=--user=root
    printf "SELECT 6*7 INTO OUTFILE '%s/answer';\nSHUTDOWN;\n" "$proof" >"$proof/init.sql"
    timeout 120 "$work/mysqld" --no-defaults --initialize-insecure --datadir="$proof/data" $user \
        >"$proof/log" 2>&1 &&
        timeout 120 "$work/mysqld" --no-defaults --datadir="$proof/data" --secure-file-priv="$proof" \
            --init-file="$proof/init.sql" --socket="$proof/socket" --pid-file="$proof/pid" \
            --skip-networking --mysqlx=OFF --skip-log-bin $user >>"$proof/log" 2>&1 || true
    answer=$(cat "$proof/answer" 2>/dev/null || true)
    last=$(grep -a ERROR "$proof/log" | tail -n 1 || true)
    rm -rf "$proof"
    [ "$answer" = 42 ] || give_up "the unpacked MySQL does not run here: ${last:-no answer}"
}

# Once a day is often enough to ask for a newer one.
if [ -x "$home/mysqld" ] && [ -n "$(find "$home/checked" -mtime -1 2>/dev/null)" ]; then
    rm -f "$reason"
    exit 0
fi
for tool in apt-get apt-cache dpkg dpkg-deb timeout; do
    command -v "$tool" >/dev/null 2>&1 || give_up "this system has no $tool"
done
architecture=$(dpkg --print-architecture)
prepare_apt
apt_here apt-get update -qq || give_up "the index of Debian $suite could not be fetched and verified"
version=$(apt_here apt-cache show "$package" 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
[ -n "$version" ] || give_up "Debian $suite has no package $package today"
if [ -x "$home/mysqld" ] && [ "$(cat "$home/version" 2>/dev/null)" = "$version" ]; then
    touch "$home/checked"
    rm -rf "$work" "$reason"
    exit 0
fi
say "unpacking MySQL $version of Debian $suite below .cache/servers"
unpack
write_launcher
prove
printf '%s\n' "$version" >"$work/version"
touch "$work/checked"
rm -rf "$work/debs" "$work/state" "$work/cache" "$home"
mv "$work" "$home"
rm -f "$reason"
say "MySQL $version is ready"
