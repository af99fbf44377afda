#!/bin/sh
# Compiles a crate of the workspace for `make fuzz` (cargo calls it as RUSTC_WORKSPACE_WRAPPER): the decoders and the targets
# count what they run through, for libFuzzer. Everything else, RocksDB above all, stays as it is and is not compiled again.
rustc=$1
shift
name=
for argument in "$@"; do
    [ "$name" = --crate-name ] && name=$argument && break
    [ "$argument" = --crate-name ] && name=--crate-name
done
case $name in
waybill_core | waybill_gateway | waybill_fuzz | fuzz) ;;
*) exec "$rustc" "$@" ;;
esac
exec "$rustc" "$@" -Cdebug-assertions=on -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
