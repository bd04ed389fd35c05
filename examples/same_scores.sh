#!/usr/bin/env bash
# Compare the samples of two files, their splits and their hardness, in any order: same_scores.sh ONE.jsonl OTHER.jsonl
# Hardness may differ by 0.00001, because the rounding of sums depends on the batch. Exits with 1 where they differ.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$here/bin:$PATH
if [ $# -ne 2 ]; then echo "usage: same_scores.sh ONE.jsonl OTHER.jsonl" >&2; exit 2; fi

table() { htl view "$1" --to tsv --columns id,split,pruned_loss,pruned_disagreement,pruned_shift,loss | LC_ALL=C sort; }

paste <(table "$1") <(table "$2") | awk -F '\t' '
  $1 != $7 || $2 != $8 { print "not the same: " $1 " (" $2 "), " $7 " (" $8 ")"; exit wrong = 1 }
  $1 == "id" { next }
  { rows++; for (i = 3; i <= 6; i++) { gap = $i - $(i + 6); if (gap < 0) gap = -gap; if (gap > most) most = gap } }
  END {
    if (wrong) exit 1
    printf "%d samples, the same ids and splits; hardness differs by %.6f at most\n", rows, most
    exit !rows || most > 0.00001
  }'
