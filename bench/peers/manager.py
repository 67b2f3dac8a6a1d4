#!/usr/bin/python3 -B
"""CPython's multiprocessing.Manager at the works of shared containers. Prints nanoseconds for a call.

    manager.py get|set|append [LOOPS]    on a dict of a thousand small pairs, or on a list that grows from nothing
"""

import multiprocessing
import sys
import time

KEYS = 1000


def measure(work, loops):
    with multiprocessing.Manager() as manager:
        numbers = manager.list()
        pairs = manager.dict({key: key for key in range(KEYS)})
        numbers.append(0)
        begin = time.perf_counter()
        if work == "get":
            for i in range(loops):
                pairs[i % KEYS]
        elif work == "set":
            for i in range(loops):
                pairs[i % KEYS] = i
        else:
            for i in range(loops):
                numbers.append(i)
        return (time.perf_counter() - begin) * 1e9 / loops


if __name__ == "__main__":
    print(f"{measure(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5000):.3f}")
