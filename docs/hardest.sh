#!/usr/bin/env bash
# Makes the picture of README.md, docs/hardest.png, by the commands that stand there: docs/hardest.sh [FOLDER]
# FOLDER, by default a new one in the temporary folder, gets the store, the models and the rows; what is there already is used again.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PATH=$root/bin:$PATH
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"
cd "$folder"
if [ ! -s scored.jsonl ]; then
  htl prepare --phantom 600 -o store | htl train -o dense.h5 --epochs 12 | htl prune -o pruned.h5 | htl score > scored.jsonl
fi
htl view scored.jsonl --split train --sort pruned_loss --limit 12 --sheet hardest.png --columns id,pruned_loss,loss,planted --force
python=$root/.venv/bin/python
[ -x "$python" ] || python=${PYTHON:-python3}
# 256 colours: a third of the bytes
"$python" -c 'import sys
from PIL import Image
Image.open("hardest.png").quantize(256, kmeans=3).save(sys.argv[1], optimize=True)' "$root/docs/hardest.png"
