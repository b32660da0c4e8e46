#!/bin/sh
# Builds the static binary: one file that needs no C library of its host, nor any other file. The lab (`auditor
# demo`) is left out of it.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "static: $*" >&2; }

target=$(uname -m)-unknown-linux-musl
command -v musl-gcc >/dev/null 2>&1 || {
    say "musl-gcc was not found: install the Debian package musl-tools"
    exit 1
}
# Where Rust came without rustup, the target's library may be there all the same.
if command -v rustup >/dev/null 2>&1; then
    rustup target list --installed | grep -qx "$target" || rustup target add "$target"
fi
export "CC_$(printf '%s' "$target" | tr - _)=musl-gcc"
cargo build --release --locked --no-default-features --bin auditor --target "$target"
say "target/$target/release/auditor"
