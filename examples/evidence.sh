#!/usr/bin/env bash
# The runs and tables of EVIDENCE.md, from images to tables: evidence.sh HAM10000 OUT [SETTING...]
# HAM10000 is a folder for `htl prepare`; OUT/runs.jsonl gets one line for each trained model; a repeated call resumes.
# SEEDS="0 1 2 3 4" EPOCHS=10 COUNT=1200 SIZE=48 JOBS=(cores) WORK=OUT/work
# ELSEWHERE=(a folder of another data set, measured on its test split)
# On two CPU cores it takes hours at these defaults; on a GPU: DEVICE=cuda COUNT=6000 EPOCHS=30 SIZE=128.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$here/../bin:$PATH
source=${1:?usage: evidence.sh HAM10000 OUT [SETTING...]}
out=${2:?usage: evidence.sh HAM10000 OUT [SETTING...]}
shift 2
size=${SIZE:-48}
mkdir -p "$out"
[ -s "$out/rows.jsonl" ] || htl prepare "$source" -o "$out/store" --size "$size" >"$out/rows.jsonl"
if [ -n "${ELSEWHERE:-}" ] && [ -d "$ELSEWHERE" ]; then
  [ -s "$out/elsewhere.jsonl" ] || htl prepare "$ELSEWHERE" -o "$out/elsewhere" --size "$size" >"$out/elsewhere.jsonl"
  export ELSEWHERE=$out/elsewhere.jsonl
fi
export JOBS=${JOBS:-$(nproc)} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
python=$here/../.venv/bin/python
"$python" "$here/evidence/runs.py" "$out/rows.jsonl" "$out/runs.jsonl" "${WORK:-$out/work}" "$@"
for split in val test ${ELSEWHERE:+elsewhere}; do "$python" "$here/evidence/tables.py" "$out/runs.jsonl" "$split" >"$out/tables.$split.tsv"; done
column -ts$'\t' <"$out/tables.test.tsv" || cat "$out/tables.test.tsv"
