#!/bin/sh
# usage: build.sh OUT.wasm     needs zig, whose C compiler brings the WASI libc with it
set -eu
zig cc --target=wasm32-wasi -Os -s -o "$1" hello.c
