#!/usr/bin/env bash
# Wheels that htl and its tests need beside torch and torchvision, for a machine without a network: tests/gpu/wheels.sh [DIR]
# PYTHON_VERSION=3.12 of that machine. Not what is too large to carry: onnxruntime-gpu, OpenCV, statsmodels, duckdb, matplotlib. Where the machine
# has none of these, the parts that need them say so.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=${1:-$root/wheels}
list=$(mktemp)
trap 'rm -f "$list"' EXIT
grep -vE '^(#|onnxruntime|opencv|statsmodels|duckdb|matplotlib|$)' "$root/requirements-light.txt" >"$list"
fetch() {
  "${PYTHON:-$root/.venv/bin/python}" -m pip download --quiet --disable-pip-version-check --dest "$folder" --only-binary=:all: \
    --python-version "${PYTHON_VERSION:-3.12}" --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform any "$@"
}
fetch -r "$list" pytest hypothesis
fetch --no-deps torch-pruning # it would bring torch
rm -f "$folder"/{numpy,pillow}-*.whl # they come with torch and torchvision
du -sh "$folder"
