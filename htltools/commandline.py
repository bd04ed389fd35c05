"""The form of htl's commands: help in groups, environment variables, and answers to the words of other tools."""

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperOption

from htltools import console
from htltools.errors import UsageError
from htltools.synonyms import dashed, known_here

# groups of flags in the help of a command, in this order
PANELS = "Data", "Table", "Boxes and splits", "Model", "Training", "Attention", "Runtime", "Output", "Rarely needed"

RARE_FLAGS = """
    --partial --history --precision --nproc-per-node --ray --compile --trust --onnx --no-notes --id-key --skips
    --lr-scheduler --warmup-epochs --weight-decay --freeze --pseudo-labels --tensorboard
    --attend-crops --attend-by --attend-top --attend-boost --attend-renew --attend-sparsity
    --lesion-values --split-map --missing --empty-when --box-frame --label-seed --readers
    --failure-iou --confidence --keep-threshold --max-loss --stability --mark --look-at --agree
"""  # of the last group, whichever they would be in
RARE = {*RARE_FLAGS.split(), "train --look-window", "score --coco", "evaluate --coco"}
METAVARS = {"<int range>": "N", "<float range>": "X", "<str>": "NAME", "<path>": "FILE"}  # for typer's own


class HtlCommand(TyperCommand):
    """A command whose help lists its flags in groups, and which knows what flags of other tools are called here.

    Every option but --force has an environment variable: HTL_COMMAND_FLAG, or the one that `Option` names.
    """

    def __init__(self, name: str, **settings: Any):
        super().__init__(name, **settings)
        for option in self.params:
            if isinstance(option, TyperOption):
                option.show_envvar = False  # `htl --help` gives the rule
                if not option.envvar and option.name != "force":
                    flag = max(option.opts, key=len).removeprefix("--")
                    option.envvar = f"HTL_{name}_{flag}".replace("-", "_").upper()

    def format_options(self, ctx, formatter):
        """Write the arguments and the groups of options, in columns of one width."""
        sections: dict[str, list[tuple[str, str]]] = {name: [] for name in ("Arguments", *PANELS, "Other")}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                flags, text = record
                if param.param_type_name == "argument":
                    flags = flags.split(" ")[0]  # without its type
                for theirs, ours in METAVARS.items():
                    flags = flags.replace(theirs, ours)
                sections[self.panel_of(param)].append((flags, text))
        width = min(max(len(flags) for records in sections.values() for flags, _ in records), 30)  # write_dl's widest column
        for name, records in sections.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl([(flags.ljust(width), text) for flags, text in records])

    def panel_of(self, param: Any) -> str:
        """The group of a parameter."""
        if param.param_type_name != "option":
            return "Arguments"
        rare = RARE & {word for flag in param.opts for word in (flag, f"{self.name} {flag}")}
        panel = getattr(param, "rich_help_panel", None)
        return "Rarely needed" if rare and panel else panel or "Other"

    def parse_args(self, ctx, args):
        """Parse the command line; the error for an unknown flag or argument names ours, where other tools call it so.

        Raises: UsageError in place of typer's error.
        """
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except typer.TyperException as error:
            console.talk.command = ctx.command_path
            if answer := self.answer(error, words):
                raise UsageError(answer, f"see {ctx.command_path} --help") from None
            param = getattr(error, "param", None)
            if param is not None and param.name in (ctx.default_map or {}) and ctx.get_parameter_source(param.name).name == "DEFAULT_MAP":
                raise UsageError(f"{ctx.params['config']}: {error.format_message().rstrip('.')}") from None
            raise

    def answer(self, error: typer.TyperException, words: list[str]) -> str | None:
        """What a flag or word of other tools is called here, by typer's error for it."""
        own = {flag for param in self.params for flag in (*param.opts, *param.secondary_opts)}
        own |= {str(param.metavar) for param in self.params if param.param_type_name == "argument"}
        if hasattr(error, "possibilities"):  # of an unknown flag
            wrong = getattr(error, "option_name", "")
            whole = next((word for word in words if word.startswith(wrong)), wrong).partition("=")[0]  # -epochs is read as -e
            return known_here(whole, own)
        if "unexpected extra argument" in error.format_message() or error.format_message().startswith("Missing option"):
            for word in words:
                name, equals, value = word.partition("=")
                if equals and name.replace("_", "").isalpha() and not Path(word).exists():
                    flag = dashed(name)
                    return f"flags are written --name value: {flag} {value}" if flag in own else known_here(flag, own)
        return None
