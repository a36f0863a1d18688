#!/bin/sh
# usage: build.sh OUT.wasm     needs zig 0.17
set -eu
zig build-exe hello.zig -target wasm32-wasi -O ReleaseSmall -fstrip "-femit-bin=$1"
