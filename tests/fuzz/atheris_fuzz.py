"""Fuzz a reader of htl with libFuzzer: PYTHONPATH=. python tests/fuzz/atheris_fuzz.py TARGET [--seconds 60].

Atheris is no dependency of htl: pip install atheris. Inputs that crash a target are written to crash-* files in the current folder.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=["htltools.formats"]):
    import targets

from htltools.errors import HtlError


def main() -> None:
    """Fuzz one target for a while."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=targets.TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    flags = parser.parse_args()
    target, corpus = targets.TARGETS[flags.target], Path(tempfile.mkdtemp(prefix="htl-corpus-"))
    for number, seed in enumerate(targets.seeds(flags.target)):
        (corpus / f"seed{number}").write_bytes(seed)
        allowed(target, seed)
    longest = 2 * max(len(seed) for seed in targets.seeds(flags.target))
    limits = [f"-max_total_time={flags.seconds}", "-timeout=10", "-rss_limit_mb=2500", f"-max_len={longest}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], lambda data: allowed(target, data))
    atheris.Fuzz()


def allowed(target, data: bytes) -> None:
    """Call a target: it may return, or raise an HtlError of one line."""
    try:
        target(data)
    except HtlError as error:
        assert str(error), "an error without text"


if __name__ == "__main__":
    main()
