#!/bin/sh
# Runs one step of a longer check: prints its name, then how long it took. A failing step ends the run
# with its own exit code, and the last line says which step it was.
#   scripts/step.sh NAME COMMAND [ARGUMENT...]
set -u
name=$1
shift
printf '\n==> %s\n' "$name"
started=$(date +%s)
"$@"
code=$?
elapsed=$(($(date +%s) - started))
if [ "$code" -ne 0 ]; then
    printf 'FAILED: %s (exit code %s, after %s s)\n    %s\n' "$name" "$code" "$elapsed" "$*" >&2
    exit "$code"
fi
printf '    ok: %s (%s s)\n' "$name" "$elapsed"
