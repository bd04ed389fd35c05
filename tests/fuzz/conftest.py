"""Files that pytest does not collect: the harness for atheris, which is no dependency of htl."""

collect_ignore = ["atheris_fuzz.py"]
