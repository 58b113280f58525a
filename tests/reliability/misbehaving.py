"""What an attempt may do, for the test that every kind of it is seen."""

from __future__ import annotations

import os
import time


def crash(path):
    os.abort()


def hang(path):
    time.sleep(100)


def hoard(path):
    return str(len(b"x" * (9 << 27))), ""


def bare(path):
    raise ValueError("bad")


def fine(path):
    return "structure", path.name
