"""What pytest leaves alone here: the harness for atheris, which htl does not bring."""

collect_ignore = ["atheris_fuzz.py"]
