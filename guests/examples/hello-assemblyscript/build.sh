#!/bin/sh
# usage: build.sh OUT.wasm     needs node with npm
set -eu
npm install --silent --no-package-lock
npm run --silent build -- --outFile "$1"
