#!/usr/bin/env bash
# prepare and score in parts, by GNU parallel, and a comparison of the result with that of one call.
#   examples/parallel.sh OUT [FOLDER]
# FOLDER holds images/, and masks/ or boxes in metadata.csv; no two images of one name. Without it, synthetic lesions are made.
# PARTS=4 (of prepare)  JOBS=2 (at a time)  N=300  SIZE=64  EPOCHS=2. Models that exist in OUT are used: dense.h5, pruned.h5.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$here/bin:$PATH
if [ $# -lt 1 ] || [ $# -gt 2 ]; then echo "usage: parallel.sh OUT [FOLDER]" >&2; exit 2; fi
mkdir -p "$1"
out=$(readlink -f "$1") folder=${2:-$1/images} jobs=${JOBS:-2}
python=$here/.venv/bin/python
[ -x "$python" ] || python=python3
[ $# -eq 2 ] || [ -e "$folder" ] || "$python" "$here/examples/phantom_files.py" "$folder" "${N:-300}"
folder=$(readlink -f "$folder")
export HTL_QUIET=1 HTL_PREPARE_SIZE=${SIZE:-64} PARALLEL_SHELL=$BASH
# a list of paths has no folder with a table
[ ! -e "$folder/metadata.csv" ] || export HTL_PREPARE_TABLE=$folder/metadata.csv
[ ! -e "$folder/masks" ] || export HTL_PREPARE_MASKS=$folder/masks

# Splits follow from a hash of the group: all images of a patient have one split, whichever part they are in.
find "$folder/images" -type f | sort >"$out/images.txt"
split -d -n "r/${PARTS:-4}" "$out/images.txt" "$out/part."
prepared() { htl prepare - -j 1 -o "$1.store" <"$1" >"$1.jsonl"; }
export -f prepared
parallel -j "$jobs" --halt soon,fail=1 prepared ::: "$out"/part.*[0-9]
cat "$out"/part.*[0-9].jsonl >"$out/rows.jsonl"

[ -e "$out/dense.h5" ] || htl train "$out/rows.jsonl" -o "$out/dense.h5" --epochs "${EPOCHS:-2}" >/dev/null
[ -e "$out/pruned.h5" ] || htl prune "$out/rows.jsonl" --model "$out/dense.h5" -o "$out/pruned.h5" --sparsity 0.8 --epochs 1 >/dev/null

# A block of a file is a cut stream, so the notes are dropped, and flags name the models; one block for each job, as each loads torch.
htl view "$out/rows.jsonl" --no-notes >"$out/plain.jsonl"
scored() { OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} htl score - --model "$1/dense.h5" --pruned "$1/pruned.h5"; }
export -f scored
parallel -j "$jobs" --halt soon,fail=1 --pipepart -a "$out/plain.jsonl" --block -1 scored "$out" >"$out/scored.jsonl"

htl prepare - -o "$out/whole.store" <"$out/images.txt" |
  htl score - --model "$out/dense.h5" --pruned "$out/pruned.h5" >"$out/whole.jsonl"
"$here/examples/same_scores.sh" "$out/whole.jsonl" "$out/scored.jsonl"
