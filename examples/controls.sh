#!/usr/bin/env bash
# Models trained with weights compared with ones without and with controls, over several seeds, at equal gradient steps.
#   htl prepare FOLDER -o store > rows.jsonl
#   examples/controls.sh rows.jsonl OUT && examples/controls_table.py OUT
# SEEDS="0 1 2 3 4"  EPOCHS=12  BY="pruned_loss random loss"  PARALLEL=2 (seeds at a time, one thread each)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$here/bin:$PATH
if [ $# -ne 2 ]; then echo "usage: controls.sh ROWS OUT" >&2; exit 2; fi
rows=$(readlink -f "$1") out=$2
epochs=${EPOCHS:-12} by=${BY:-pruned_loss random loss}
mkdir -p "$out"

one_seed() { # all commands of one seed; files that exist are not made again
  local seed=$1 dir=$out/$1
  mkdir -p "$dir"
  [ -e "$dir/dense.h5" ] || htl train "$rows" -q -o "$dir/dense.h5" --epochs "$epochs" --seed "$seed" >/dev/null
  [ -e "$dir/pruned.h5" ] || htl prune "$rows" -q --model "$dir/dense.h5" -o "$dir/pruned.h5" --seed "$seed" >/dev/null
  [ -e "$dir/scored.jsonl" ] || htl score "$rows" -q --model "$dir/dense.h5" --pruned "$dir/pruned.h5" >"$dir/scored.part"
  [ -e "$dir/scored.jsonl" ] || mv "$dir/scored.part" "$dir/scored.jsonl"
  htl evaluate "$rows" -q --model "$dir/dense.h5" --split test -o "$dir/dense.jsonl" --force >/dev/null
  for column in $by; do
    [ -e "$dir/$column.h5" ] || htl resample "$dir/scored.jsonl" -q --by "$column" --boost 1 --seed "$seed" |
      htl train -q -o "$dir/$column.h5" --epochs "$epochs" --seed "$seed" >/dev/null
    htl evaluate "$rows" -q --model "$dir/$column.h5" --baseline "$dir/dense.h5" --split test -o "$dir/$column.jsonl" --force >/dev/null
  done
}
export -f one_seed
export out rows epochs by
# shellcheck disable=SC2086 # the seeds are words
printf '%s\n' ${SEEDS:-0 1 2 3 4} | OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} xargs -P "${PARALLEL:-2}" -I{} bash -euo pipefail -c 'one_seed {}'
