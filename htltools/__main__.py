"""`python -m htltools` is `htl`."""

from htltools.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
