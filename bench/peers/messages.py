#!/usr/bin/python3 -B
"""CPython's multiprocessing.Queue at the works of queues, as bench/messages.h measures the others.

    messages.py [PRODUCERS [CONSUMERS [BYTES [MESSAGES]]]]            prints messages per second
"""

import multiprocessing
import os
import sys
import time


def pin(nth):
    """Stay on one CPU; with BENCH_PIN=0 the kernel chooses instead."""
    if os.environ.get("BENCH_PIN") != "0":
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, [cpus[nth % len(cpus)]])


def produce(nth, queue, results, gate, size, count):
    pin(nth)
    filler = b"x" * max(size - 16, 0)
    gate.wait()
    begin = time.perf_counter()
    for number in range(1, count + 1):
        ends = number.to_bytes(8, "little")
        queue.put(ends + filler + ends if size > 8 else ends)
    results.put((begin, None, count * (count + 1) // 2))


def consume(nth, queue, results, gate, size, count):
    pin(nth + 1)
    gate.wait()
    total = 0
    for _ in range(count):
        message = queue.get()
        assert len(message) == size and message[:8] == message[-8:]
        total += int.from_bytes(message[:8], "little")
    results.put((None, time.perf_counter(), -total))


def measure(producers, consumers, size, count):
    context = multiprocessing.get_context("fork")
    queue, results = context.Queue(), context.SimpleQueue()
    gate = context.Barrier(producers + consumers)
    count -= count % (producers * consumers)
    parts = [(produce, i, count // producers) for i in range(producers)]
    parts += [(consume, i, count // consumers) for i in range(consumers)]
    for part, nth, share in parts:
        context.Process(target=part, args=(nth, queue, results, gate, size, share), daemon=True).start()
    begins, ends, sums = zip(*(results.get() for _ in parts))
    assert sum(sums) == 0, "messages were lost or damaged"
    return count / (max(filter(None, ends)) - min(filter(None, begins)))


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:]]
    print(f"{measure(*(arguments + [1, 1, 64, 30000][len(arguments):])):.3f}")
