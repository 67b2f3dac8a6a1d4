/* What the tests of shared objects have in common: children that run a function, that are stopped and killed, also at
 * each single instruction of what they do, and memory that is shared with them. */
#ifndef TEST_UNIT_CHILDREN_H
#define TEST_UNIT_CHILDREN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef int child_function(void *arg);

/* Fork a child that runs the function and exits with its result, without running exit handlers. */
pid_t child_start(child_function *run, void *arg);

/* Wait for its end, and a moment for the kernel to say that it is no member any more: its exit code, or minus its
 * signal. */
int child_finish(pid_t child);

/* Kill it and wait until it is gone. */
void child_kill(pid_t child);

/* Wait until it sleeps in a system call; it fails the test when that does not happen. For a child which sleeps nowhere
 * else than where the test wants it. */
void child_await_sleep(pid_t child);

/* Run the function in a child and wait for its end. */
int in_child(child_function *run, void *arg);

/* Run the function in another thread and wait for its result. */
int in_thread(child_function *run, void *arg);

/* Run the function in so many threads at once, or processes, and wait until each has returned 0. */
void threads_run(child_function *run, void *arg, int count);
void children_run(child_function *run, void *arg, int count);

/* Zeroed memory of the family, and giving it back. */
void *shared(size_t size);
void shared_free(void *memory);

/* Wait until a word of shared memory has at least this value. */
void await_value(const _Atomic(int) *word, int value);

/* The shortest of many runs, in nanoseconds. For what must not wait for a tick of 100 ms, whatever else the machine
 * does. */
int64_t shortest(void (*run)(void *arg), void *arg);

/* Nanoseconds of the monotonic clock. */
int64_t now(void);

/* Kill a process at each instruction of an operation, one after the other: for every k a child does prepare(arg), is
 * stepped through k instructions of operate(arg) and killed; then this process does check(arg). It ends with the run in
 * which the operation came to its end. Where stepping would take too long, for a long operation or under a sanitizer,
 * it steps over some, unless there is MPROC_EVERY_INSTRUCTION in the environment. */
struct stepping {
    void (*prepare)(void *arg); /* in the child, before; may be NULL */
    void (*operate)(void *arg); /* in the child, stepped */
    void (*check)(void *arg);   /* in the test, after the child's death */
    void (*meet)(void *arg);    /* in the test, while the child is stopped at that instruction; may be NULL */
    int stride;                 /* for a long operation: only every so many instructions; 0 is 1 */
};
void kill_at_each_instruction(const struct stepping *stepping, void *arg);

/* For some time keep count children running the function, which ends only by being killed: each in turn is killed at a
 * random moment and replaced. The sequence of delays is always the same. Returns how many were killed. */
int kill_storm(child_function *run, void *arg, int count, int milliseconds);

#endif
