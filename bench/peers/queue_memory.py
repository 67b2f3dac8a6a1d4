#!/usr/bin/python3 -B
"""The memory of CPython's multiprocessing.Queue, as bench/holding.h measures the others.

    queue_memory.py held|drained [MESSAGES]
"""

import gc
import multiprocessing
import re
import sys


def private_bytes():
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"Pss_Anon:\s*(\d+)", file.read()).group(1)) * 1024


def measure(what, count):
    queue = multiprocessing.get_context("fork").Queue()
    filler = b"x" * 56
    queue.put(filler)
    queue.get()
    before = private_bytes()
    for number in range(count):
        queue.put(number.to_bytes(8, "little") + filler)
    held = (private_bytes() - before) / count
    for number in range(count):
        message = queue.get()
        assert len(message) == 64 and int.from_bytes(message[:8], "little") == number
    gc.collect()
    left = (private_bytes() - before) / 1024
    return left if what == "drained" else held


if __name__ == "__main__":
    print(f"{measure(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000000):.3f}")
