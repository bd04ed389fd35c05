"""`htl train`: rows in, a localizer out."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

from htltools import options

training = partial(Option, rich_help_panel="Training", show_default=False)
attention = partial(Option, rich_help_panel="Attention", show_default=False)
model = partial(Option, rich_help_panel="Model", show_default=False)


class Scheduler(options.Choice):
    """How the learning rate falls."""

    onecycle, cosine = "onecycle", "cosine"


class Supervision(options.Choice):
    """What the training rows tell."""

    full, semi, weak = "full", "semi", "weak"


class Attend(options.Choice):
    """How a training attends to hard samples."""

    none, look, adaptive, replay, damaged = "none", "look", "adaptive", "replay", "damaged"


class Targets(options.Choice):
    """What a net that predicts pixels learns from."""

    auto, boxes, masks = "auto", "boxes", "masks"


class Flip(options.Choice):
    """Which mirror images a training may see."""

    both, horizontal, vertical, none = "both", "horizontal", "vertical", "none"


class Shuffle(options.Choice):
    """What an epoch draws its batches from."""

    auto, full, shards = "auto", "full", "shards"


class PseudoLabelUse(options.Choice):
    """What rows without boxes are used for."""

    teacher, attend, suppress, consistency, none = "teacher", "attend", "suppress", "consistency", "none"


class By(options.Choice):
    """The column that attention goes by while a model trains."""

    pruned_loss, pruned_disagreement, pruned_shift = "pruned_loss", "pruned_disagreement", "pruned_shift"
    loss, random = "loss", "random"


@options.command
def train(
    run,
    rows: options.Rows = None,
    *,
    out: Annotated[Path, options.in_output("-o", "--out", metavar="M.h5", help="The checkpoint to write.", show_default=False)],
    arch: Annotated[
        str | None,
        model(
            "--arch", help="compact_unet (default), compact (default if weak), a torchvision net or detector, or package.module:function."
        ),
    ] = None,
    side: Annotated[
        int | None,
        model("--input", metavar="N", min=8, help="Pixels of what the net takes; default: the stored image."),
    ] = None,
    init: Annotated[str, options.in_model("--init", metavar="none|imagenet|FILE", help="Where the weights start.")] = "none",
    supervision: Annotated[
        Supervision, options.in_training("--supervision", help="full: rows with boxes; semi: also rows without; weak: labels.")
    ] = Supervision.full,
    targets: Annotated[
        Targets, options.in_training("--targets", help="auto: lesion masks where the store has them and the net can, else boxes.")
    ] = Targets.auto,
    epochs: Annotated[
        int | None,
        training("--epochs", metavar="N", min=1, help="Passes over the training split; default 30, more of few rows."),
    ] = None,
    batch_size: options.BatchSize = 32,
    rate: Annotated[
        float | None,
        training("--lr", min=0, help="Highest learning rate; default 0.003 from scratch, 0.0005 otherwise."),
    ] = None,
    scheduler: Annotated[Scheduler, options.in_training("--lr-scheduler", help="How the learning rate falls.")] = Scheduler.onecycle,
    warm_up: Annotated[
        float | None,
        training("--warmup-epochs", metavar="N", min=0, help="Epochs in which it rises; default 15 %, or 0 of cosine."),
    ] = None,
    decay: Annotated[float, options.in_training("--weight-decay", metavar="X", min=0, help="Of AdamW; not of biases and norms.")] = 0.05,
    patience: Annotated[
        int | None,
        training("--patience", metavar="N", min=1, help="Stop early: after N epochs without a better one."),
    ] = None,
    freeze: Annotated[
        str | None,
        training("--freeze", metavar="backbone|N|PART,...", help="Keep these weights of --init, or the first N layers."),
    ] = None,
    flip: Annotated[
        Flip, options.in_training("--flip", help="Mirror images that training may see; none where left is not right.")
    ] = Flip.both,
    fold: Annotated[
        str | None,
        training("--fold", metavar="k/K", help="Leave out the k-th of K parts of the training split."),
    ] = None,
    pseudo_labels: Annotated[
        PseudoLabelUse | None,
        training("--pseudo-labels", help="Use of rows without boxes by --supervision semi; default teacher."),
    ] = None,
    shuffle: Annotated[Shuffle, options.in_training("--shuffle", help="Draw from all images, or a few shards at a time.")] = Shuffle.auto,
    resume: Annotated[bool, options.in_training("--resume/--no-resume", help="Go on where an interrupted training stopped.")] = True,
    attend: Annotated[
        Attend | None,
        attention("--attend", help="look (default where the net can): learn to look again; or attention by weights."),
    ] = None,
    looks: Annotated[
        int | None,
        attention("--looks", min=1, max=8, help="Looks at an image; default: chosen on split val."),
    ] = None,
    look_window: Annotated[
        float | None,
        attention("--look-window", min=1, max=4, help="Sides of what is looked at again, in sides of the box; default: chosen."),
    ] = None,
    attend_crops: Annotated[
        float | None,
        attention("--attend-crops", min=0, max=1, help="Share of images that look enlarges; default 0.5, or 0 of masks."),
    ] = None,
    attend_by: Annotated[
        By | None,
        attention("--attend-by", help="What attention goes by; default pruned_loss, or pruned_disagreement with semi."),
    ] = None,
    attend_top: Annotated[float | None, attention("--attend-top", min=0, max=1, help="Share that counts as hard; default 0.3.")] = None,
    attend_boost: Annotated[float | None, attention("--attend-boost", min=0, help="Extra weight of the hard; default 1.")] = None,
    attend_renew: Annotated[
        int | None,
        attention("--attend-renew", min=1, help="Epochs between choices of who is hard; default 3."),
    ] = None,
    attend_sparsity: Annotated[
        float | None,
        attention("--attend-sparsity", min=0, max=0.99, help="Share of weights that attention cuts; default 0.8, or 0.4 if damaged."),
    ] = None,
    tensorboard: Annotated[
        Path | None,
        options.in_output("--tensorboard", metavar="DIR", help="Also write the log for TensorBoard, as DIR/M.", show_default=False),
    ] = None,
    seed: options.Seed = 0,
    device: options.DeviceName = "auto",
    precision: options.PrecisionName = options.Precision.auto,
    compiled: Annotated[bool, options.in_runtime("--compile/--no-compile", help="Compile the net first; pays in long trainings.")] = False,
    nproc: options.Nproc = 1,
    ids: options.Ids = None,
    not_ids: options.NotIds = None,
    limit: options.Limit = None,
    partial: options.Partial = False,
    force: options.Force = False,
):
    """Train a localizer on the rows of the training split.

    \b
    htl prepare FOLDER -o store | htl train -o dense.h5 > rows.jsonl
    htl train rows.jsonl -o big.h5 --arch resnet18 --init imagenet > /dev/null
    htl train rows.jsonl -o lungs.h5 --arch compact_fcos --flip none > /dev/null    several objects

    The weights of the epoch with the best mean IoU on the validation split are kept. A row's `weight` counts in the loss.
    --attend attends to hard samples while training; --supervision semi also learns from rows without boxes;
    --supervision weak from the field `label` alone.
    An interrupted training leaves M.resume.h5; the same command goes on from there. M.log.jsonl has one line per epoch.
    compact_unet, and torchvision's segmentation nets, learn lesion masks, and predict a mask and the box around it.
    With --fold, for each k from 1 to K, htl score can judge every training row by a model that has not seen its group.
    Writes the rows again, and a note that names the model.
    """
    options.rows_expected(rows)
    from htltools.commands.shared.chosen_rows import ChosenRows
    from htltools.commands.train import fit, flags

    tuning = {
        "by": attend_by,
        "top": attend_top,
        "boost": attend_boost,
        "renew": attend_renew,
        "sparsity": attend_sparsity,
        "share": attend_crops,
    }
    plan = flags.planned(
        out,
        arch=arch,
        init=init,
        epochs=epochs,
        batch_size=batch_size,
        rate=rate,
        decay=decay,
        scheduler=scheduler,
        warm_up=warm_up,
        patience=patience,
        freeze=freeze,
        seed=seed,
        fold=flags.parsed_fold(fold, seed),
        supervision=supervision,
        attend=attend,
        pseudo_labels=pseudo_labels,
        tuning=tuning,
        flip=flip,
        targets=targets,
        looks=looks,
        window=look_window,
        side=side,
        shuffle=shuffle,
    )
    fit.train_rows(
        run,
        rows,
        plan,
        device,
        precision,
        compiled=compiled,
        resume=resume,
        tensorboard=tensorboard,
        chosen=ChosenRows(ids, not_ids, run),
        limit=limit,
        partial=partial,
        force=force,
    )
