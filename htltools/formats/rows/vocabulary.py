"""The columns of hardness, the metrics, and the datasets, attributes and metadata of files, each with its meaning. As in htl-stream(5).

Letters as in `schema`.
"""

# Columns of `hardness`: higher = harder in every one of them. Of mask models, IoU, loss and smallness are those of masks.
HARDNESS = {
    "pruned_disagreement": "1 - IoU of the dense and the pruned box, in [0, 1]; needs no annotation; also measures smallness",
    "pruned_shift": "mean distance of the four edges of the dense and the pruned box, in units of the image's sides; needs no annotation",
    "pruned_loss": "box loss of the pruned model, 0 or more",
    "iou_drop": "IoU(dense, annotated) - IoU(pruned, annotated), in [-1, 1]",
    "loss_gap": "box loss of the pruned model minus that of the dense one",
    "pie": "share of the pruned models for which [IoU(pruned, annotated) >= 0.75] differs from the dense model, in [0, 1]; only where "
    "two or more pruned models predict for the row",
    "suspect": "how much the annotation looks wrong rather than the sample hard: 1 - IoU with the annotation, where dense and pruned "
    "model agree, in [0.03, 5.95]",
    "loss": "box loss of the dense model, 0 or more: the control that does not prune",
    "el2n": "L2 norm of the error of the dense box, in units of the image's sides, in [0, 2]: a control that does not prune",
    "seed_disagreement": "mean of 1 - IoU over the pairs of dense models, in [0, 1]; only where two or more of them predict for "
    "the row; needs no annotation; also measures smallness: a control that does not prune",
    "smallness": "1 - share of the image that the annotated box covers, in [0, 1]: the control for lesion size",
    "grand": "norm of the gradient of the sample's box loss with respect to all weights of the dense model, 0 or more; only on request",
    "dropout_disagreement": "mean of 1 - IoU of the dense box and those under dropout of the last features, in [0, 1]; needs no "
    "annotation; also measures smallness: a control that does not prune; only on request",
    "forgetting": "how often the sample went from right (IoU >= 0.75) to wrong between epochs of a training, or the epochs where it was "
    "never right: a control that does not prune, of `train`, for training rows",
    "cartography_error": "1 - mean IoU over the epochs of a training, in [0, 1]: a control, as `forgetting`",
    "cartography_spread": "standard deviation of the IoU over the epochs of a training, in [0, 0.5]: a control, as `forgetting`",
    "negative_aum": "the largest IoU with the box of another sample of the batch less the IoU with its own, mean over the epochs of a "
    "training, in [-1, 1]: a control, as `forgetting`",
    "mirror_disagreement": "1 - mean IoU of the dense box with those of the mirror images that its training saw, put back, in [0, 1]; "
    "needs no annotation; also measures smallness; only on request, and of `predict`",
    "look_disagreement": "1 - IoU of the dense box and that of the first look alone, in [0, 1], of a net that looks again; needs no "
    "annotation; also measures smallness; only on request, and of `predict`",
    "soft_dice_doubt": "1 - soft Dice of the dense probabilities of lesion with their own mask, in [0, 1], of mask models; needs no "
    "annotation; only on request, and of `predict`",
    "random": "a number in [0, 1) that depends on seed and id alone: the control for chance",
}

# columns that do not follow from the annotation
LABEL_FREE = frozenset(name for name, what in HARDNESS.items() if "needs no annotation" in what) | {"random"}

METRICS = {
    "iou_mean": "mean IoU of predicted and annotated box",
    "iou_median": "median IoU",
    "iou_p10": "10th percentile of IoU: how the hard ones fare",
    "acc@0.3": "share of samples with IoU >= 0.3",
    "acc@0.5": "share of samples with IoU >= 0.5",
    "acc@0.7": "share of samples with IoU >= 0.7",
    "acc@0.75": "share of samples with IoU >= 0.75",
    "acc@0.9": "share of samples with IoU >= 0.9",
    "failure_rate": "share of samples with IoU < 0.1; lower is better",
    "dice": "mean Dice of predicted and annotated lesion mask; only of mask models, over samples whose store holds one",
    "mask_iou": "mean IoU of predicted and annotated lesion mask; as `dice`",
    "hd95": "mean of the 95th percentile of the distances between the outlines of predicted and annotated mask, in shares of the image's "
    "diagonal, in [0, 1]; 1 where nothing is predicted; lower is better; as `dice`",
    "assd": "mean of the average distance between these outlines, in the same unit; lower is better; as `dice`",
    "boundary_iou": "mean IoU of the pixels of both masks within 2 % of the diagonal of their outlines; as `dice`",
    "maxboxacc_v2": "mean of the shares of samples with IoU >= 0.3, 0.5 and 0.7; only of class_map models, at their threshold",
    "maxboxacc_v2_oracle": "the same at the thresholds that are best on these samples: what it could be, and no held-out figure",
    "ap": "average precision of the detected objects, mean over IoU .5 to .95 and classes (COCO); only of detect models",
    "ap50": "the same at IoU .5",
    "ap75": "the same at IoU .75",
    "precision": "share of the detected objects that meet an annotated one of their class with IoU >= 0.5, each at most once, of "
    "those that score at least the model's threshold; all classes together; absent where nothing is detected",
    "recall": "share of the annotated objects that are so met: sensitivity; absent where nothing is annotated",
    "f1": "harmonic mean of precision and recall",
    "fp_per_image": "detected objects that meet no annotated one, as `precision`, per image, 0 or more; lower is better",
    "froc@0.125": "share of the annotated objects that are met (sensitivity) at the score threshold that leaves at most 0.125 false "
    "positives per image (FROC); only of detect models",
    "froc@0.25": "the same at 0.25",
    "froc@0.5": "the same at 0.5",
    "froc@1": "the same at 1",
    "froc@2": "the same at 2",
    "froc@4": "the same at 4",
    "froc@8": "the same at 8",
    "froc_mean": "mean of these seven sensitivities",
    "class_ap": "`ap` of one class, `class` of the line, that of `objects` annotated ones; only where there are several",
    "class_ap50": "`ap50` of one class",
    "class_ap75": "`ap75` of one class",
    "class_precision": "`precision` of one class",
    "class_recall": "`recall` of one class",
    "class_f1": "`f1` of one class",
    "pxap": "average precision of the pixels of the class map; only of class_map models, where the store holds lesion masks",
}

# Metrics of hardness, and not of a model.
ODDS = {
    "odds_ratio": "odds of the samples of a subgroup to be among the hard, over those of all others; more than 1: more often hard",
}

# Metrics of a column of doubt, on a model's predictions. A prediction fails where its IoU is below `failure_iou`, by default 0.5.
DOUBT = {
    "aurc": "area under the risk-coverage curve: mean over the coverages 1/n .. 1 of the mean of 1 - IoU among the least doubtful; lower "
    "is better; that of a random order is 1 - mean IoU",
    "e_aurc": "aurc less that of the ideal order, by IoU itself, 0 or more; lower is better",
    "failure_auroc": "chance that a failure is more doubtful than another prediction, in [0, 1]; 0.5 of a random order; absent where "
    "none fails",
    "selective_iou@0.95": "mean IoU of the 95 % least doubtful",
    "selective_iou@0.9": "mean IoU of the 90 % least doubtful",
    "selective_iou@0.8": "mean IoU of the 80 % least doubtful",
    "selective_iou@0.7": "mean IoU of the 70 % least doubtful",
    "selective_failure_rate@0.95": "share of failures among the 95 % least doubtful; lower is better",
    "selective_failure_rate@0.9": "share of failures among the 90 % least doubtful; lower is better",
    "selective_failure_rate@0.8": "share of failures among the 80 % least doubtful; lower is better",
    "selective_failure_rate@0.7": "share of failures among the 70 % least doubtful; lower is better",
    "refer_rate": "share of a group's samples above the threshold of doubt, mean over groups",
    "unreferred_failure_rate": "share of a group's samples that fail and are not referred, mean over groups; lower is better",
}

# Datasets and attributes of a shard of the store.
STORE = {
    "images": "uint8 [N, H, W, C], contiguous, RGB: the images, squashed to the store's frame",
    "masks": "uint8 [N, H, W], contiguous, 0 or 255 = lesion: lesion masks in the same frame; absent where none were given",
    "rows": "uint8 [bytes], JSON Lines: the rows of the shard without `store`",
    "digests": "uint64 [N]: the first 8 bytes of the sha256 of each image",
    "skips": "uint8 [bytes], JSON Lines: {id, source, reason} of the samples left out",
    "@kind": "'htl-store'",
    "@schema": "version of this format",
    "history": "uint8 [bytes], JSON: provenance",
    "@plan": "digest of the sources and parameters that the shard was made from",
    "@shards": "number of shards of the whole store",
}

# Datasets and attributes of a checkpoint. The entries under about/ are JSON as uint8 [bytes].
CHECKPOINT = {
    "weights/<name>": "the shape and type of the tensor: one dataset for each entry of the model's state, "
    "compressed (gzip) where a third or more of it is zero",
    "about/architecture": "what the net is built from: `task`, what it predicts (box, mask, detect, class_map, or another), `name` of "
    "the net, `size` [H, W, C] of its images; `classes`, names of the classes, of tasks detect and class_map; `most`, objects per image at "
    "most, of task detect; `input` [h, w], what the net takes where that is not the stored image; `looks`, the fields count, window, "
    "average, agree, at and box of how it looks at an image, absent: once; `glance`, whether there is a second net for the first look",
    "about/preprocessing": "size [H, W, C] of the images it takes, mean and std of its normalisation in [0, 1] units",
    "about/metrics": "validation metrics of these weights: val_iou after all looks, constant_val_iou of one constant prediction, and "
    "one_look_val_iou of a single look where it was measured",
    "about/pruning": "method, sparsity asked and achieved (0: nothing was cut, the control), recovery, sweep of the health gate; health on "
    "validation images: prediction_spread, constant, dead_layers, constant_val_iou; dense_sha256, a digest of the weights of the dense "
    "model; request, a digest of the rows, the dense model and the parameters that it follows from; null in a dense model",
    "about/log": "one record per epoch",
    "about/fold": "k, K and seed of the fold of split train that the model was not fitted to; null where it left none out",
    "about/training": "flip: chances of a mirror image, left for right and upside down; looks: whether enlarged crops were among the "
    "images; the recovery of a pruned copy keeps both",
    "about/referral": "a threshold of doubt and its promise: column, threshold, max_failure, failure_iou, confidence, split, groups, and "
    "models, the digests of the weights of all models that it was set with; null where none was set",
    "about/history": "provenance",
    "@kind": "'htl-checkpoint'",
    "@schema": "version of this format",
}

# Metadata of an ONNX file.
ONNX = {
    "htl.input": "images: uint8 [N, H, W, 3], RGB, the whole image squashed to H x W",
    "htl.task": "what the model predicts: box, mask, detect, class_map, or another task",
    "htl.output": "boxes: float32 [N, 4], [x0, y0, x1, y1] as shares of the image's width and height, in [0, 1]; of task detect boxes "
    "[N, D, 4], scores float32 [N, D] in falling order, 0 in empty places, and labels int64 [N, D], -1 there",
    "htl.objects": "JSON, of task detect: classes, their names, and threshold, the score from which on an object counts",
    "htl.masks": "masks: float32 [N, H, W], probability of lesion at each pixel, in [0, 1], lesion from 0.5 on; only of task mask",
    "htl.training": "JSON: about/training of the checkpoint, so that mirror images are known that the net may see",
    "htl.referral": "JSON: about/referral of the checkpoint, a threshold of doubt; only where one was set",
    "htl.fold": "JSON: about/fold of the checkpoint; only where it has one",
    "htl.weights": "the digest of the weights of the checkpoint, as in about/pruning of its pruned copies",
    "htl.copy_of": "the digest of the weights of the dense model; only of a pruned copy",
    "htl.frame": "JSON: [H, W, 3], what images are squashed to inside the file (export --any-size); absent where they have that size",
    "htl.doubt": "JSON: column, mirror_disagreement or look_disagreement: what the output doubt is, float32 [N] in [0, 1]; of task detect "
    "there is also doubts, float32 [N, D], of each object, 1 of those that do not count; only of export --doubt",
    "htl.history": "JSON: provenance",
    "htl.model": "sha256 of the checkpoint it was made from",
    "htl.sha256": "sha256 of the file with 64 zeros in the place of this value",
    "htl.quantize": "JSON: kind (none, float16 or int8), the calibration of int8, and where it was measured iou_mean and "
    "iou_mean_float32, the mean IoU of this file and of the net in float32 on n rows of the split val",
}
