"""What flags and commands are called in Ultralytics, nnU-Net, torchvision, cleanlab and FiftyOne, and what they are called here."""

from collections.abc import Collection

# flags and arguments of any command that has them: ours, then theirs
FLAGS = {
    "--model": "--weights --checkpoint --ckpt --ckpt-path --checkpoint-path --chk --load",
    "--init": "--weights --pretrained --pretrained-weights --weights-backbone --ckpt --checkpoint",
    "--arch": "--model --backbone --model-name --net --network --architecture --trainer --tr --plans",
    "--attended": "--against --baseline",
    "--baseline": "--compare --reference --other",
    "--size": "--imgsz --img-size --img --image-size --resize --spacing",
    "--lr": "--lr0 --learning-rate --initial-lr --base-lr",
    "--lr-scheduler": "--schedule --scheduler --sched --lr-policy",
    "--lr-scheduler cosine": "--cos-lr",
    "--warmup-epochs": "--warmup --lr-warmup-epochs --warm-up",
    "--weight-decay": "--wd --decay --l2",
    "--patience": "--early-stopping --early-stop --early-stopping-patience",
    "--freeze": "--freeze-layers --freeze-backbone --trainable-backbone-layers",
    "--epochs": "--max-epochs --num-epochs --n-epochs --nb-epochs",
    "--batch-size": "--bs --batch --b --train-batch-size --samples-per-batch",
    "--flip": "--mirror --fliplr --flipud --hflip-prob --no-mirroring --degrees",
    "--targets": "--task --mode",
    "--pseudo-labels": "--unlabelled --unlabeled --pseudo",
    "--pseudo": "--pseudo-labels",
    "--nproc-per-node": "--nproc --gpus --num-gpus --world-size --n-gpus",
    "--jobs": "--workers --num-workers --np --num-processes --n-jobs",
    "--device": "--gpu --cuda --gpu-id --accelerator",
    "--seed": "--random-state --random-seed --manual-seed",
    "--precision": "--amp --fp16 --bf16 --half",
    "--quantize": "--half --int8 --fp16 --quantise",
    "--fold": "--kfold --folds --cv --n-folds",
    "--force": "--overwrite --exist-ok --overwrite-existing --clobber",
    "--limit": "--fraction --subset --head --max-samples --num-samples --n",
    "--ids": "--include --only --image-ids",
    "--not-ids": "--exclude --skip --ignore",
    "--gallery": "--images --thumbnails",
    "--thumbnails": "--images --show --plot --gallery",
    "--sheet": "--save --contact-sheet --grid --montage",
    "--to tsv": "--tsv",
    "--to csv": "--csv",
    "--to coco:FILE": "--coco --coco-out",
    "--to fiftyone:DIR": "--fiftyone",
    "--to parquet:FILE": "--parquet",
    "--columns": "--fields --select --cols",
    "--where": "--filter --query --match",
    "--sort": "--sort-by --order-by --rank-by --return-indices-ranked-by",
    "--ascending": "--reverse --asc",
    "--by": "--sort --score --metric --column",
    "--drop-by suspect": "--label-issues --filter-by --drop-label-issues",
    "--top": "--frac --keep",
    "--group-by": "--groupby --subgroups --slice --slices",
    "--fail-under": "--min-iou --assert",
    "--threshold": "--conf --score-thresh --score-threshold --rpn-score-thresh --box-score-thresh",
    "--csv": "--save-csv --to-csv",
    "--coco-results": "--save-json --json",
    "--yolo": "--save-txt --txt",
    "--masks": "--labelstr --save-masks --segmentations --mask-dir",
    "--overlay": "--save --save-img --visualize --show --plot",
    "--annotations": "--json --labels --xml --label-dir",
    "--table": "--csv --metadata --meta --df --manifest",
    "--group-column": "--patient-column --patient-id --group --groups",
    "--splits": "--split --train-val-test-split --val-size --test-size",
    "--labelled": "--labeled --label-fraction",
    "--sparsity": "--amount --prune-ratio --pruning-ratio --rate",
    "--recover": "--finetune --fine-tune --retrain",
    "--any-size": "--dynamic --dynamic-axes",
    "--bench": "--benchmark --latency --profile",
    "--doubt": "--augment --tta --uncertainty --disable-tta",
    "--trust": "--trust-remote-code --weights-only",
    "--quiet": "--silent",
    "--verbose": "--loglevel --log-level",
    "--tensorboard": "--logdir --log-dir --logger --tb",
    "--config": "--cfg --hyp --settings --yaml --hyperparameters",
    "--out": "--output --project --name --save-dir --output-dir --out-dir --output-folder --save --output-file",
    "--summary": "--describe --stats --info",
    "ROWS": "--data --source --dataset --data-path --rows --input-file --data-dir --i",
    "SOURCE": "--source --data --input --images --data-path --img-dir --imagestr --i --folder",
}

# what another command does
ELSEWHERE = {
    "htl prepare --size": "--imgsz --img-size --img --image-size",
    "htl prepare --splits": "--val-size --test-size",
    "htl train --resume": "--continue --c",
    "htl evaluate": "--test-only --val --validate --eval --plots",
    "htl evaluate --baseline": "--compare",
    "htl prune": "--prune",
    "htl export": "--onnx --format --export",
    "htl predict": "--predict --infer",
    "htl view --where": "--classes --filter",
    "htl view --sort suspect": "--label-issues --find-label-issues",
    "htl view --thumbnails auto": "--show --plot --visualize",
}

# what nobody needs to ask for, or cannot
NOTES = {
    "--optimizer --opt --momentum --nesterov --beta": "the optimizer is AdamW",
    "--lrf --lr-gamma --lr-steps --lr-step-size --final-lr": "the rate falls to nearly 0 by the end; see --lr-scheduler",
    "--dropout --mosaic --mixup --copy-paste --close-mosaic --hsv-h --hsv-s --hsv-v --translate --scale --shear --augmentation": (
        "augmentation is fixed but for --flip"
    ),
    "--cache --cache-images --rect --pin-memory --prefetch": "the store is a memory map, of which nothing need be cached",
    "--deterministic --use-deterministic-algorithms --benchmark-cudnn": "the same seed gives the same result",
    "--resume-training": "an interrupted training resumes by itself",
    "--save-period --checkpoint-every --save-best --val-best --val-interval": "each epoch is validated, and the best is kept",
    "--nms --iou --iou-thres --agnostic-nms --max-det": "overlaps are resolved by the net's own setting",
    "--opset --simplify --workspace --batch-dynamic": "the file is checked as it is, and takes any batch",
    "--single-cls": "rows without labels are of one class",
    "--wandb --mlflow --comet --clearml": "M.log.jsonl has a line per epoch; see also --tensorboard",
    "--print-freq --log-interval": "M.log.jsonl has a line per epoch",
}

# commands, with what they are called elsewhere
COMMANDS = {
    "prepare": "preprocess plan-and-preprocess convert import ingest dataset extract-fingerprint data load",
    "train": "fit finetune fine-tune learn tune",
    "look": "tta refine",
    "prune": "sparsify compress",
    "score": "rank find-label-issues hardness difficulty datalab audit",
    "predict": "infer inference detect segment track val-predict apply",
    "resample": "reweight sample select subset oversample filter-train",
    "evaluate": "val eval validate test metrics measure evaluate-folder",
    "evaluate --baseline": "compare diff versus",
    "evaluate --hard": "slice slices subgroups",
    "export": "onnx convert-model deploy to-onnx",
    "export --bench": "benchmark bench latency",
    "report": "html dashboard summary-page",
    "view": "show ls list head cat plot visualize browse app launch filter query sort inspect",
    "view --summary": "stats describe info count summary",
    "view --check": "verify check fsck checksum verify-dataset-integrity",
    "view --to coco:FILE": "coco to-coco",
    "view --to csv": "csv to-csv",
    "help": "man docs tutorial",
}


def known_here(word: str, own: Collection[str]) -> str | None:
    """What to say of a flag that a command does not have; None where nobody calls anything so. `own`: its flags, ROWS or SOURCE.

    >>> known_here("--weights", {"--init"}), known_here("--batch_size", {"--batch-size"})
    ('--weights is called --init here', '--batch_size is called --batch-size here')
    """
    plain = dashed(word)
    if plain != word and plain in own:
        return f"{word} is called {plain} here"
    for ours in (name for name, theirs in FLAGS.items() if plain in theirs.split() and name.split()[0] in own):
        return f"{word} is the argument {ours} here" if ours.isupper() else f"{word} is called {ours} here"
    for ours in (name for name, theirs in ELSEWHERE.items() if plain in theirs.split()):
        return f"{word} is what {ours} does"
    for note in (note for words, note in NOTES.items() if plain in words.split()):
        return f"there is no {word}: {note}"
    return None


def command_called(word: str) -> str | None:
    """The command that a word means elsewhere, perhaps with a flag."""
    plain = word.lower().replace("_", "-")
    return next((ours for ours, theirs in COMMANDS.items() if plain in theirs.split()), None)


def dashed(word: str) -> str:
    """A flag in the form of ours: two hyphens, and hyphens between its words.

    >>> dashed("-num_gpus"), dashed("--Batch_Size"), dashed("-o")
    ('--num-gpus', '--batch-size', '--o')
    """
    return "--" + word.lstrip("-").lower().replace("_", "-")
