#!/bin/sh
# Installs what the build (`build`) or the build and the tests (`test`) need from the system, by apt, and
# only what is missing. It says what it is going to install before it does. Where there is no apt it
# names what is missing and stops. What the tests need of Python's packages goes into virtual environments
# in the cache directory, each of which is made again when its tests' requirements.txt changes.
set -eu

want=${1:-build}
case $want in
build | test) ;;
*)
    echo "usage: scripts/setup.sh build|test" >&2
    exit 2
    ;;
esac

# bindgen loads libclang and reads the compiler's own headers beside it; one without the other is not enough.
has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    for header in /usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib*/clang/*/include/stddef.h; do
        [ -e "$header" ] || continue
        for library in /usr/lib/llvm-*/lib/libclang*.so* /usr/lib*/libclang*.so* /usr/lib/*/libclang*.so*; do
            case $library in *libclang-cpp*) continue ;; esac
            [ -e "$library" ] && return 0
        done
    done
    return 1
}

has() { command -v "$1" >/dev/null 2>&1; }

missing=
{ has cc && has g++; } || missing="$missing build-essential"
has_libclang || missing="$missing libclang-dev"
# The server prints a curl line, which a new user runs, and so does a test.
has curl || missing="$missing curl"
if [ "$want" = test ]; then
    has python3 || missing="$missing python3"
    # Debian has it apart: without it a virtual environment has no pip.
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
    has fusermount3 || missing="$missing fuse3"
    # OpenIM's web SDK runs in a browser.
    has npm || missing="$missing npm"
    has chromium || has chromium-browser || has google-chrome || missing="$missing chromium"
fi

if [ -n "$missing" ]; then
    if ! has apt-get; then
        echo "setup: missing on this system (names of the Debian packages):$missing" >&2
        echo "setup: there is no apt-get here; install them with your package manager and run this again" >&2
        exit 1
    fi
    as_root=env
    if [ "$(id -u)" -ne 0 ]; then
        if ! has sudo; then
            echo "setup: run as root: apt-get install$missing" >&2
            exit 1
        fi
        as_root="sudo env"
    fi
    echo "setup: installing by apt, without recommended packages:$missing"
    # shellcheck disable=SC2086  # a list of words on purpose
    {
        $as_root DEBIAN_FRONTEND=noninteractive apt-get update -qq
        $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
    }
fi

if ! has cargo; then
    echo "setup: cargo not found; install a Rust toolchain (https://rustup.rs) and run this again" >&2
    exit 1
fi

if [ "$want" = test ] && [ ! -c /dev/fuse ]; then
    echo "setup: /dev/fuse is missing: the power-cut tests mount a file system of their own." >&2
    echo "setup: load the kernel's fuse module (modprobe fuse) or start the container with --device /dev/fuse" >&2
    exit 1
fi

# Python packages of the tests in tests/$1, in a virtual environment of their own in the cache directory.
python_packages() {
    wanted=$(dirname "$0")/../tests/$1/requirements.txt
    venv=${XDG_CACHE_HOME:-$HOME/.cache}/waybill/$1
    # The list is copied last, so one that was not finished is made again; so is one whose Python is gone.
    if ! cmp -s "$wanted" "$venv/requirements.txt" || ! "$venv/bin/python" -c '' 2>/dev/null; then
        echo "setup: installing Python packages into $venv"
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
        cp "$wanted" "$venv/requirements.txt"
    fi
}

if [ "$want" = test ]; then
    python_packages openapi
    python_packages python-client
fi
