"""`python -m htltools` is `htl`."""

import sys

if __name__ == "__main__":
    try:
        from htltools.cli import main
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("htltools"):
            raise
        print(f"htl: {sys.executable} has no {error.name}; run bin/setup, or name the Python that htl is installed in", file=sys.stderr)
        raise SystemExit(69) from None
    raise SystemExit(main())
