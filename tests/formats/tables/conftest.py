"""What the tests of tables share."""

import sys

import pytest


@pytest.fixture
def calls():
    """`calls(work, *args)` gives how many calls of functions a piece of work makes: a measure of it that no other load changes."""

    def counted(work, *args) -> int:
        count = 0

        def note(frame, event, argument):
            nonlocal count
            count += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            work(*args)
        finally:
            sys.setprofile(before)
        return count

    return counted
