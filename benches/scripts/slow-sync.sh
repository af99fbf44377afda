#!/bin/sh
# The server on a disk whose syncs take 10 ms, asked at the rate that the original system states for itself: 900 sends a
# second. Mounts the fault layer of the tests (needs FUSE), serves there, loads, and takes everything down again.
# Further arguments go to `load`.
set -eu

programs="${CARGO_TARGET_DIR:-target}/release"
delay_ms="${SYNC_MS:-10}"
for program in waybill-faultfs waybill load; do
    [ -x "$programs/$program" ] || {
        echo "$programs/$program is missing: cargo build --release --workspace" >&2
        exit 1
    }
done

# A directory on the disk under test; DATA names another one.
work="$(mktemp -d "${DATA:-${TMPDIR:-/tmp}}/waybill-slow-sync-XXXXXX")"
mkdir "$work/backing" "$work/mount"
layer= server=
end() {
    [ -z "$server" ] || { kill "$server" && wait "$server"; } || true
    [ -z "$layer" ] || { kill "$layer" && wait "$layer"; } || true
    rm -rf "$work"
}
trap end EXIT
trap 'exit 1' INT TERM

# It reads orders from standard input and ends with it, so it is given one that stays open.
mkfifo "$work/orders"
"$programs/waybill-faultfs" --backing "$work/backing" --mount "$work/mount" --fsync-delay-ms "$delay_ms" \
    <"$work/orders" >"$work/layer.log" 2>&1 &
layer=$!
exec 3>"$work/orders"
until mountpoint -q "$work/mount"; do
    kill -0 "$layer" || { cat "$work/layer.log" >&2; exit 1; }
    sleep 0.1
done

port="${PORT:-10012}"
"$programs/waybill" serve --data "$work/mount/data" --http "127.0.0.1:$port" --quic 127.0.0.1:0 --ops 127.0.0.1:0 \
    >"$work/server.log" 2>&1 &
server=$!
until grep -q "^http " "$work/server.log"; do
    kill -0 "$server" || { cat "$work/server.log" >&2; exit 1; }
    sleep 0.1
done

"$programs/load" --server "127.0.0.1:$port" --data "$work/mount/data" --pid "$server" --rate 900 "$@"
