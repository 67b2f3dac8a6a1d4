#!/usr/bin/python3 -B
"""CPython's multiprocessing.Process at the works of processes. Prints one number.

    process.py fork|spawn|forkserver [LOOPS [MEBIBYTES]]
                                        microseconds from the start of a process that returns at once until it is joined
    process.py time [PROCESSES [LOOPS]] microseconds for each of so many processes that live at the same time
    process.py memory [PROCESSES]       KiB of each of them: the mean of the proportional set sizes

The host holds so many MiB of touched small pages, and stays on one CPU with its processes, unless BENCH_PIN=0. One
process is started before the clock. The processes of the last two are forked; see bench/crowd.h.
"""

import mmap
import multiprocessing
import sys
import time

from messages import pin
from pool import kibibytes_of

POPULATE_WRITE = 23  # of <sys/mman.h>: touch all pages at once


def argument(place, preset):
    return int(sys.argv[place]) if len(sys.argv) > place else preset


def occupy_memory(mebibytes):
    if not mebibytes:
        return None
    size = mebibytes << 20
    pages = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages.madvise(mmap.MADV_NOHUGEPAGE)
    try:
        pages.madvise(POPULATE_WRITE)
    except OSError:
        pages[:: mmap.PAGESIZE] = b"x" * (size // mmap.PAGESIZE)
    return pages


def return_at_once():
    pass


def start_and_join(context):
    process = context.Process(target=return_at_once)
    process.start()
    process.join()
    assert process.exitcode == 0
    process.close()


def measure_start():
    pin(0)
    loops, pages = argument(2, 100), occupy_memory(argument(3, 0))
    context = multiprocessing.get_context(sys.argv[1])
    start_and_join(context)
    begin = time.perf_counter()
    for _ in range(loops):
        start_and_join(context)
    spent = time.perf_counter() - begin
    del pages
    return spent * 1e6 / loops


def attend(arrived, over):
    arrived.release()
    over.wait()


def gather(count):
    arrived, over = multiprocessing.Semaphore(0), multiprocessing.Event()
    crowd = [multiprocessing.Process(target=attend, args=(arrived, over)) for _ in range(count)]
    for process in crowd:
        process.start()
    for _ in crowd:
        arrived.acquire()
    return crowd, over


def disperse(crowd, over):
    over.set()
    for process in crowd:
        process.join()
        assert process.exitcode == 0
        process.close()


def measure_time():
    count, loops = argument(2, 100), argument(3, 1)
    disperse(*gather(1))
    begin = time.perf_counter()
    for _ in range(loops):
        disperse(*gather(count))
    return (time.perf_counter() - begin) * 1e6 / loops / count


def measure_memory():
    count = argument(2, 100)
    crowd, over = gather(count)
    mean = sum(kibibytes_of(process.pid) for process in crowd) / count
    disperse(crowd, over)
    return mean


if __name__ == "__main__":
    works = {"time": measure_time, "memory": measure_memory}
    print(f"{works.get(sys.argv[1], measure_start)():.3f}", flush=True)
