#!/usr/bin/env bash
#SBATCH --job-name=htl --cpus-per-task=2 --mem=8G --time=01:00:00
# prepare and score as a Slurm job array: each task does the part of its number.
# From the checkout (synthetic images: examples/phantom_files.py FOLDER):
#   a=$(sbatch --parsable --array=1-8 examples/slurm_array.sh prepare FOLDER OUT)
#   b=$(sbatch --parsable -d afterok:"$a" --gpus=1 examples/slurm_array.sh train OUT)
#   c=$(sbatch --parsable -d afterok:"$b" --array=1-8 examples/slurm_array.sh score OUT)
#   sbatch -d afterok:"$c" examples/slurm_array.sh join OUT
# `htl join` refuses missing, doubled and foreign parts, and names them: submit these tasks again, --array=3,5.
# PARTS=8 says how many parts there are where the tasks of the array are not all of them, as then.
# Without Slurm there is one task, or these variables name one: SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=3.
# FOLDER, SIZE and EPOCHS are those of parallel.sh; models that exist in OUT are used.
set -euo pipefail
here=${SLURM_SUBMIT_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)} # Slurm runs a copy in another folder
PATH=$here/bin:$PATH
case "${1:-} $#" in
  "prepare 3" | "train 2" | "score 2" | "join 2") ;;
  *) echo "usage: slurm_array.sh prepare FOLDER OUT | train OUT | score OUT | join OUT" >&2; exit 2 ;;
esac
out=${*: -1} k=${SLURM_ARRAY_TASK_ID:-1}
part=$k/${PARTS:-${SLURM_ARRAY_TASK_COUNT:-1}}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
mkdir -p "$out"

case $1 in
  prepare) htl prepare "$2" -j "${SLURM_CPUS_PER_TASK:-1}" --size "${SIZE:-64}" --part "$part" -o "$out/store.$k" >"$out/rows.$k.jsonl" ;;
  train)
    htl join "$out"/rows.*[0-9].jsonl >"$out/rows.jsonl"
    [ -e "$out/dense.h5" ] || htl train "$out/rows.jsonl" -o "$out/dense.h5" --epochs "${EPOCHS:-2}" >/dev/null
    [ -e "$out/pruned.h5" ] || htl prune "$out/rows.jsonl" --model "$out/dense.h5" -o "$out/pruned.h5" --sparsity 0.8 --epochs 1 >/dev/null
    ;;
  score) htl score "$out/rows.jsonl" --model "$out/dense.h5" --pruned "$out/pruned.h5" --part "$part" >"$out/scored.$k.jsonl" ;;
  join) htl join "$out"/scored.*[0-9].jsonl >"$out/scored.jsonl" ;;
esac
