#!/usr/bin/python3 -B
"""CPython's multiprocessing.Pool at the works of the pool. Prints one number.

    pool.py map [ITEMS]               nanoseconds a task of a map with chunksize=1
    pool.py submit [LOOPS [PAUSE]]    microseconds for Pool.apply, one at a time, after so many microseconds each
    pool.py memory [WORKERS]          KiB for an idle worker: the mean of the proportional set sizes
    pool.py replace [LOOPS]           microseconds from the SIGKILL of the only worker, which is idle, until another one
                                      is in the pool

The workers are as many as there are CPUs, and are forked, as is the default. What is made once is outside the time.
"""

import multiprocessing
import multiprocessing.pool
import os
import signal
import sys
import time


def square(number):
    return number * number


def add_one(number):
    return number + 1


def rest(_):
    time.sleep(0.001)


def argument(place, preset):
    return int(sys.argv[place]) if len(sys.argv) > place else preset


def measure_map():
    count = argument(2, 10000)
    pool = multiprocessing.Pool()
    pool.map(square, range(100), chunksize=1)
    begin = time.perf_counter()
    squares = pool.map(square, range(count), chunksize=1)
    spent = time.perf_counter() - begin
    assert squares == [number * number for number in range(count)]
    return pool, spent * 1e9 / count


def measure_submit():
    loops, pause = argument(2, 2000), argument(3, 0) / 1e6
    pool = multiprocessing.Pool()
    spent = 0
    for number in range(-100, loops):
        if pause:
            time.sleep(pause)
        begin = time.perf_counter()
        result = pool.apply(add_one, (number,))
        if number >= 0:
            spent += time.perf_counter() - begin
        assert result == number + 1
    return pool, spent * 1e6 / loops


def kibibytes_of(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def measure_memory():
    workers = argument(2, 8)
    pool = multiprocessing.Pool(workers)
    pool.map(rest, range(workers * 10), chunksize=1)
    time.sleep(0.01)
    children = multiprocessing.active_children()
    assert len(children) == workers
    return pool, sum(kibibytes_of(child.pid) for child in children) / workers


def measure_replace():
    """The worker holds the lock of the pool's queue, and takes it along: no task would ever be done."""
    loops = argument(2, 100)
    pool = multiprocessing.Pool(1)
    assert pool.apply(add_one, (1,)) == 2
    spent = 0
    for _ in range(loops):
        time.sleep(0.0005)
        worker = pool._pool[0]
        begin = time.perf_counter()
        os.kill(worker.pid, signal.SIGKILL)
        while not pool._pool or pool._pool[0] is worker:
            time.sleep(0.00002)
        spent += time.perf_counter() - begin
    return pool, spent * 1e6 / loops


def end(pool):
    """End at once, with all workers, whatever state the pool is in; none is to be replaced any more."""
    pool._worker_handler._state = multiprocessing.pool.TERMINATE
    try:
        for child in multiprocessing.active_children():
            child.kill()
    finally:
        os._exit(0)


if __name__ == "__main__":
    works = {"map": measure_map, "submit": measure_submit, "memory": measure_memory, "replace": measure_replace}
    pool, result = works[sys.argv[1]]()
    print(f"{result:.3f}", flush=True)
    end(pool)
