#!/usr/bin/env bash
# Scores of planted hard samples: phantom data, several seeds, pruning with and without recovery.
#   examples/phantom_hardness.sh OUT && examples/phantom_table.py OUT
# SEEDS="0 1 2 3 4"  N=1500  EPOCHS=12  SPARSITY=0.8  PARALLEL=2 (seeds at a time, one thread each)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$here/bin:$PATH
if [ $# -ne 1 ]; then echo "usage: phantom_hardness.sh OUT" >&2; exit 2; fi
out=$1 count=${N:-1500} epochs=${EPOCHS:-12} sparsity=${SPARSITY:-0.8}
mkdir -p "$out"

one_seed() { # its own phantom set, its own nets
  local seed=$1 dir=$out/$1
  mkdir -p "$dir"
  [ -e "$dir/rows.jsonl" ] || htl prepare -q -j 1 --phantom "$count" --seed "$seed" -o "$dir/store" --force >"$dir/rows.part"
  [ -e "$dir/rows.jsonl" ] || mv "$dir/rows.part" "$dir/rows.jsonl"
  [ -e "$dir/dense.h5" ] || htl train -q "$dir/rows.jsonl" -o "$dir/dense.h5" --epochs "$epochs" --seed "$seed" >/dev/null
  for recover in none finetune; do
    htl prune -q "$dir/rows.jsonl" --model "$dir/dense.h5" --sparsity "$sparsity" --recover "$recover" --seed "$seed" -o "$dir/$recover.h5" --force |
      htl score -q --seed "$seed" >"$dir/$recover.jsonl"
  done
}
export -f one_seed
export out count epochs sparsity
# shellcheck disable=SC2086 # the seeds are words
printf '%s\n' ${SEEDS:-0 1 2 3 4} | OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} xargs -P "${PARALLEL:-2}" -I{} bash -euo pipefail -c 'one_seed {}'
