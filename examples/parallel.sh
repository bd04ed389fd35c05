#!/usr/bin/env bash
# prepare and score in parts, by GNU parallel, and a comparison of the result with that of one call.
#   examples/parallel.sh OUT [FOLDER]
# FOLDER holds images/, and masks/ or boxes in metadata.csv. Without it, synthetic lesions are made.
# PARTS=4  JOBS=2 (at a time)  N=300  SIZE=64  EPOCHS=2. Models that exist in OUT are used: dense.h5, pruned.h5.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$here/bin:$PATH
if [ $# -lt 1 ] || [ $# -gt 2 ]; then echo "usage: parallel.sh OUT [FOLDER]" >&2; exit 2; fi
mkdir -p "$1"
out=$(readlink -f "$1") folder=${2:-$1/images} jobs=${JOBS:-2} parts=${PARTS:-4}
python=$here/.venv/bin/python
[ -x "$python" ] || python=python3
[ $# -eq 2 ] || [ -e "$folder" ] || "$python" "$here/examples/phantom_files.py" "$folder" "${N:-300}"
folder=$(readlink -f "$folder")
export HTL_QUIET=1 HTL_PREPARE_SIZE=${SIZE:-64} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} PARALLEL_SHELL=$BASH

# A part is chosen by a hash of the group, so that no patient is in two; `htl join` refuses missing, doubled and foreign parts.
in_parts() { seq "$parts" | parallel -j "$jobs" --halt soon,fail=1 "$@"; }
in_parts "htl prepare '$folder' -j 1 --part {}/$parts -o '$out/store.{}' > '$out/rows.{}.jsonl'"
htl join "$out"/rows.*[0-9].jsonl >"$out/rows.jsonl"

[ -e "$out/dense.h5" ] || htl train "$out/rows.jsonl" -o "$out/dense.h5" --epochs "${EPOCHS:-2}" >/dev/null
[ -e "$out/pruned.h5" ] || htl prune "$out/rows.jsonl" --model "$out/dense.h5" -o "$out/pruned.h5" --sparsity 0.8 --epochs 1 >/dev/null

models=(--model "$out/dense.h5" --pruned "$out/pruned.h5")
in_parts "htl score '$out/rows.jsonl' ${models[*]@Q} --part {}/$parts > '$out/scored.{}.jsonl'"
htl join "$out"/scored.*[0-9].jsonl >"$out/scored.jsonl"

htl prepare "$folder" -o "$out/whole.store" | htl score - "${models[@]}" >"$out/whole.jsonl"
"$here/examples/same_scores.sh" "$out/whole.jsonl" "$out/scored.jsonl"
