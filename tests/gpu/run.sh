#!/usr/bin/env bash
# All that needs a GPU, in one bounded run: tests/gpu/run.sh OUT.json [ROWS.jsonl]
# On a fresh machine: Python with torch and torchvision, and a folder of wheels for what else is missing (tests/gpu/wheels.sh makes it).
# ROWS.jsonl: of `htl prepare`, for the evidence; without it that part is left out. DEVICE=cuda (cpu: as far as it goes there, smaller)
# LIMIT=600 seconds in all; STEPS="chain onnx": these alone; WHEELS=wheels.
# What fails is in OUT.json with its reason, the rest goes on, and the exit status is 1.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=${1:?usage: run.sh OUT.json [ROWS.jsonl]}
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3
wheels=${WHEELS:-$root/wheels}
if [ -d "$wheels" ]; then
  "$python" -m pip install --quiet --no-index --no-deps --break-system-packages "$wheels"/*.whl >&2
fi
exec "$python" "$root/tests/gpu/run.py" "$out" "${@:2}"
