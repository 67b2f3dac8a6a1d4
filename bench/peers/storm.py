#!/usr/bin/python3 -B
"""One run of the storm with CPython's own means: some processes work, one of them is killed at a random moment, and then
the rest should finish.

    storm.py queue|lock|pool|executor SEED

Prints one line: `ok`, `hang` when the rest does not finish, or `lost N` when N pieces of work are gone beside the one
that the killed process was at; `broken N` when the executor says so of all that was pending. Each work is done as the
manual advises, and the same is done in bench/storm.c with mproc. scripts/storm runs both many times.
"""

import concurrent.futures
import multiprocessing
import os
import queue
import random
import signal
import sys
import time

WORKERS = 4
HANG_S = 3.0  # so long without any progress; all that is left to do takes a twentieth of that

JOBS = 100
JOB_PAUSE_S = 0.001  # between two jobs that are handed out
JOB_S = 0.002
QUEUE_KILL_S = 0.15

SECTIONS = 500
INSIDE_S = 0.00005
OUTSIDE_S = 0.0002
LOCK_KILL_S = 0.1

TASKS = 200
TASK_S = 0.002
POOL_KILL_S = 0.08


def verdict(text):
    """Say how it went and end at once, with all children, whatever state they are in."""
    print(text, flush=True)
    try:
        for child in multiprocessing.active_children():
            child.kill()
    finally:  # a pool's threads may get in the way; scripts/storm ends what is left
        os._exit(0)


def anybody_runs():
    """Whether another process of this run wants a CPU, and so is slow and does not hang."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/stat") as file:
                state, _, group = file.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == os.getpgrp() and state in "RD":
            return True
    return False


class Watch:
    """Calls it a hang when a number does not change for long, and nobody is about to change it."""

    def __init__(self):
        self.value, self.since = None, time.monotonic()

    def look(self, value):
        if value != self.value:
            self.value, self.since = value, time.monotonic()
        elif time.monotonic() - self.since > HANG_S and not anybody_runs():
            verdict("hang")


def kill(process):
    os.kill(process.pid, signal.SIGKILL)


# ---- a queue of jobs and a queue of results ----


def queue_worker(jobs, results, put):
    while True:
        job = jobs.get()
        if job is None:
            results.put(("end", os.getpid()))
            return
        time.sleep(JOB_S)
        results.put(("result", job))
        put[job] = 1


def storm_queue(chance):
    """Lost: a result whose put has returned, and more than one job that has no result."""
    jobs, results = multiprocessing.Queue(), multiprocessing.Queue()
    put = multiprocessing.RawArray("b", JOBS)
    workers = [multiprocessing.Process(target=queue_worker, args=(jobs, results, put)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    victim = chance.choice(workers)
    begin = time.monotonic()
    moment = chance.uniform(0, QUEUE_KILL_S)
    for job in range(JOBS):
        if victim and time.monotonic() - begin >= moment:
            kill(victim)
            workers.remove(victim)
            victim = None
        jobs.put(job)
        time.sleep(JOB_PAUSE_S)
    if victim:
        time.sleep(max(0, begin + moment - time.monotonic()))
        kill(victim)
        workers.remove(victim)
    for _ in range(WORKERS):
        jobs.put(None)
    at_work = {worker.pid for worker in workers}
    got = set()
    watch = Watch()
    while at_work:
        watch.look((len(got), len(at_work)))
        try:
            kind, value = results.get(timeout=0.05)
        except queue.Empty:
            continue
        if kind == "result":
            got.add(value)
        else:
            at_work.discard(value)
    try:
        while True:
            kind, value = results.get(timeout=0.05)
            got.add(value)
    except queue.Empty:
        pass
    in_hand = sum(1 for job in range(JOBS) if job not in got and not put[job])
    lost = sum(1 for job in range(JOBS) if job not in got and put[job]) + max(0, in_hand - 1)
    verdict(f"lost {lost}" if lost else "ok")


# ---- a lock ----


def busy(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def lock_worker(lock, pair, done, place, start):
    start.wait()
    for _ in range(SECTIONS):
        with lock:
            pair[0] += 1
            busy(INSIDE_S)
            pair[1] += 1
            done[place] += 1
        time.sleep(OUTSIDE_S)


def storm_lock(chance):
    """Lost: sections that the survivors went through and that are not counted."""
    lock = multiprocessing.Lock()
    start = multiprocessing.Barrier(WORKERS + 1)
    pair = multiprocessing.RawArray("l", 2)
    done = multiprocessing.RawArray("l", WORKERS)
    workers = [multiprocessing.Process(target=lock_worker, args=(lock, pair, done, place, start))
               for place in range(WORKERS)]
    for worker in workers:
        worker.start()
    start.wait()
    victim = chance.choice(workers)
    time.sleep(chance.uniform(0, LOCK_KILL_S))
    kill(victim)
    watch = Watch()
    while any(worker.exitcode is None for worker in workers):
        time.sleep(0.005)
        watch.look(sum(done))
    lost = sum(done) - pair[1]
    verdict(f"lost {lost}" if lost > 0 else "ok")


# ---- a pool ----


tasks_done = multiprocessing.RawArray("b", TASKS)


def square(number):
    time.sleep(TASK_S)
    tasks_done[number] = 1
    return number * number


def storm_pool(chance):
    """Lost: more than one item without its result."""
    pool = multiprocessing.Pool(WORKERS)
    pool.map(square, range(WORKERS))
    workers = multiprocessing.active_children()
    squares = pool.map_async(square, range(TASKS))
    time.sleep(chance.uniform(0, POOL_KILL_S))
    kill(chance.choice(sorted(workers, key=lambda worker: worker.pid)))
    watch = Watch()
    while not squares.ready():
        squares.wait(0.05)
        watch.look(sum(tasks_done))
    lost = sum(1 for number, value in enumerate(squares.get()) if value != number * number) - 1
    verdict(f"lost {lost}" if lost > 0 else "ok")


def storm_executor(chance):
    """Lost: more than one future without its result."""
    executor = concurrent.futures.ProcessPoolExecutor(WORKERS)
    list(executor.map(square, range(WORKERS)))
    workers = multiprocessing.active_children()
    futures = [executor.submit(square, number) for number in range(TASKS)]
    time.sleep(chance.uniform(0, POOL_KILL_S))
    kill(chance.choice(sorted(workers, key=lambda worker: worker.pid)))
    watch = Watch()
    while concurrent.futures.wait(futures, timeout=0.05).not_done:
        watch.look(sum(tasks_done))
    failed = [future.exception() for future in futures if future.exception()]
    if any(isinstance(failure, concurrent.futures.process.BrokenProcessPool) for failure in failed):
        verdict(f"broken {len(failed)}")
    verdict(f"lost {len(failed) - 1}" if len(failed) > 1 else "ok")


if __name__ == "__main__":
    works = {"queue": storm_queue, "lock": storm_lock, "pool": storm_pool, "executor": storm_executor}
    works[sys.argv[1]](random.Random(int(sys.argv[2])))
