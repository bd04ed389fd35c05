#!/usr/bin/env bash
# Wheels that htl and its tests need beside torch and torchvision, for a machine without a network: tests/gpu/wheels.sh [DIR]
# PYTHON_VERSION=3.12 of that machine. Not onnxruntime-gpu, which is too large to carry: where the machine has none, that part says so.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=${1:-$root/wheels}
list=$(mktemp)
trap 'rm -f "$list"' EXIT
grep -vE '^(#|onnxruntime|opencv|statsmodels|$)' "$root/requirements-light.txt" >"$list"
"${PYTHON:-$root/.venv/bin/python}" -m pip download --quiet --dest "$folder" --only-binary=:all: --python-version "${PYTHON_VERSION:-3.12}" \
  --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform any -r "$list" torch-pruning pytest hypothesis --no-deps
du -sh "$folder"
