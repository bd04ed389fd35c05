#!/usr/bin/env bash
#SBATCH --job-name=htl --cpus-per-task=2 --mem=8G --time=01:00:00
# prepare and score as a Slurm job array: each task uses the lines whose number, modulo the number of tasks, is its own.
# From the checkout (synthetic images: examples/phantom_files.py FOLDER):
#   a=$(sbatch --parsable --array=0-7 examples/slurm_array.sh prepare FOLDER OUT)
#   b=$(sbatch --parsable -d afterok:"$a" --gpus=1 examples/slurm_array.sh train OUT)
#   c=$(sbatch --parsable -d afterok:"$b" --array=0-7 examples/slurm_array.sh score OUT)
#   sbatch -d afterok:"$c" examples/slurm_array.sh join OUT
# Without Slurm there is one task, or these variables name one: SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=3.
# FOLDER, SIZE and EPOCHS are those of parallel.sh; models that exist in OUT are used. Submit a task again that was interrupted.
set -euo pipefail
here=${SLURM_SUBMIT_DIR:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)} # Slurm runs a copy in another folder
PATH=$here/bin:$PATH
case "${1:-} $#" in
  "prepare 3" | "train 2" | "score 2" | "join 2") ;;
  *) echo "usage: slurm_array.sh prepare FOLDER OUT | train OUT | score OUT | join OUT" >&2; exit 2 ;;
esac
out=${*: -1} count=${SLURM_ARRAY_TASK_COUNT:-1}
task=$(((${SLURM_ARRAY_TASK_ID:-0} - ${SLURM_ARRAY_TASK_MIN:-0}) / ${SLURM_ARRAY_TASK_STEP:-1})) # 0, 1, ... whatever the ids
export HTL_QUIET=1 OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
mkdir -p "$out"

mine() { awk -v task="$task" -v count="$count" 'NR % count == task'; }

prepare() { # splits follow from a hash of the group, so that they are the same in all tasks
  [ ! -e "$1/metadata.csv" ] || export HTL_PREPARE_TABLE=$1/metadata.csv
  [ ! -e "$1/masks" ] || export HTL_PREPARE_MASKS=$1/masks
  find "$(readlink -f "$1")/images" -type f | LC_ALL=C sort | mine |
    htl prepare - -j "${SLURM_CPUS_PER_TASK:-1}" --size "${SIZE:-64}" -o "$out/store.$task" >"$out/rows.$task.part"
  mv "$out/rows.$task.part" "$out/rows.$task.jsonl" # a file of the final name is complete
}

train() {
  cat "$out"/rows.*.jsonl >"$out/rows.jsonl"
  [ -e "$out/dense.h5" ] || htl train "$out/rows.jsonl" -o "$out/dense.h5" --epochs "${EPOCHS:-2}" >/dev/null
  [ -e "$out/pruned.h5" ] || htl prune "$out/rows.jsonl" --model "$out/dense.h5" -o "$out/pruned.h5" --sparsity 0.8 --epochs 1 >/dev/null
}

score() { # some lines of a file are a cut stream, so the notes are dropped, and flags name the models
  htl view "$out/rows.jsonl" --no-notes | mine | htl score - --model "$out/dense.h5" --pruned "$out/pruned.h5" >"$out/scored.$task.part"
  mv "$out/scored.$task.part" "$out/scored.$task.jsonl"
}

join() { # a row that is in two parts would be refused here
  cat "$out"/scored.*.jsonl | htl view - >"$out/scored.jsonl"
  local all scored
  all=$(grep -c '^{"id"' "$out/rows.jsonl") scored=$(grep -c '"pruned_loss"' "$out/scored.jsonl")
  echo "$scored of $all samples are scored"
  [ "$scored" -eq "$all" ]
}

case $1 in prepare) prepare "$2" ;; *) "$1" ;; esac
