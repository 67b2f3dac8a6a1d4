#!/usr/bin/python3 -B
"""CPython's multiprocessing.Pipe at the works of connections.

    connection.py rtt [BYTES [LOOPS]]        prints the microseconds of a message there and back
    connection.py bulk [BYTES [MESSAGES]]    prints the gigabytes per second that one process gets from the other
"""

import multiprocessing
import os
import sys
import time

WARM_UP = 10


def pin_to_cpu(nth):
    """As in measure.h."""
    if os.environ.get("BENCH_PIN") != "0":
        os.sched_setaffinity(0, [sorted(CPUS)[nth % len(CPUS)]])


def serve(work, end, size, loops):
    pin_to_cpu(1)
    message = b"x" * size
    for _ in range(loops):
        if work == "rtt":
            end.send_bytes(end.recv_bytes())
        else:
            end.send_bytes(message)
    end.recv_bytes()


def measure(work, size, loops):
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=serve, args=(work, theirs, size, loops))
    child.start()
    pin_to_cpu(0)
    message = b"x" * size
    for i in range(loops):
        if i == WARM_UP:
            begin = time.perf_counter()
        if work == "rtt":
            ours.send_bytes(message)
        assert len(ours.recv_bytes()) == size
    seconds = time.perf_counter() - begin
    ours.send_bytes(b"")
    child.join()
    loops -= WARM_UP
    return seconds * 1e6 / loops if work == "rtt" else size * loops / seconds / 1e9


if __name__ == "__main__":
    CPUS = os.sched_getaffinity(0)
    work = sys.argv[1]
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 64 if work == "rtt" else 1 << 20
    loops = int(sys.argv[3]) if len(sys.argv) > 3 else 20000 if work == "rtt" else 1000
    print(f"{measure(work, size, loops + WARM_UP):.3f}")
