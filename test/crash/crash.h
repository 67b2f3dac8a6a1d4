/* The crash harness: a victim is stepped through an operation, one machine instruction at a time, and killed; then the
 * survivors work on, and the books must balance. A case describes one operation in one state of the world.
 *
 *     world = case->build()                       in the tester: the world, in shared memory
 *     case->prepare(world)                        in the victim, at full speed; may be NULL
 *     case->operate(world)                        in the victim, stepped
 *     the victim is killed after k steps
 *     wrong = case->check(world, committed)       in the tester: work on, and compare
 *     case->destroy(world)
 *
 * for every k from 0 to the end of the operation. All of it must be done within SURVIVORS_MS.
 *
 * A case without operate steps a process that the library has made. Its prepare runs in the tester, brings the victim
 * about and names it by victim_name(). */
#ifndef TEST_CRASH_H
#define TEST_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SURVIVORS_MS 2000

struct crash_case {
    const char *operation;
    const char *state;
    void *(*build)(void);
    void (*prepare)(void *world);
    void (*operate)(void *world);
    const char *(*check)(void *world, bool finished); /* finished: the operation came to its end before the kill. NULL,
                                                         or what is wrong */
    void (*destroy)(void *world);
    void (*repair)(void *world); /* in a second victim, stepped and killed after the first: what mends; or NULL */
};

/* The cases, in files of this folder by subject. Each list ends with an operation of NULL. */
extern const struct crash_case heap_cases[];
extern const struct crash_case queue_cases[];
extern const struct crash_case sync_cases[];
extern const struct crash_case member_cases[];
extern const struct crash_case broken_cases[]; /* each must be found to fail */

/* ---- stepping, for the runner ---- */

/* Start the victim, stopped before the first instruction of operate. */
pid_t victim_start(const struct crash_case *subject, void *world);

/* Let it do one instruction, or system call. False when the operation is at its end. */
bool victim_step(pid_t victim);

/* What was seen of an operation when it was stepped from begin to end: its steps, and after which of them a system call
 * had just returned. Another victim of the same operation then runs to the last call before its point at full speed. */
struct trace {
    long steps;
    long *calls;
    size_t call_count;
};
void trace_take(struct trace *trace, pid_t victim);
void trace_drop(struct trace *trace);

/* Let it do so many steps. Returns whether the operation came to its end. trace may be NULL. */
bool victim_advance(pid_t victim, const struct trace *trace, long steps);

/* Kill it and wait until it is gone. */
void victim_kill(pid_t victim);

/* ---- for the cases ---- */

/* The victim of a case without operate: traced by the tester, and stopped. over tells, after each step, whether the
 * operation is at its end; NULL: when the victim ends. kept: the check reaps it, or the library does. */
void victim_name(pid_t victim, bool (*over)(void *world), void *world, bool kept);

/* Become the victim: to be traced by the parent, and stop here. */
void victim_stop_here(void);

/* Zeroed shared memory. */
void *world_alloc(size_t size);

/* A bystander: a process that runs a function with the world, and is killed and reaped by bystander_end(). */
pid_t bystander_start(void (*run)(void *world), void *world);
void bystander_end(pid_t bystander);

/* Wait until the condition holds, for SURVIVORS_MS at most. */
bool within_time(bool (*condition)(void *world), void *world);

/* Whether every byte of the heap is accounted for: its audit finds nothing, and so many bytes more are in use than at
 * the last heap_note(). NULL, or what is wrong. */
void heap_note(void);
void heap_note_less(size_t less); /* so many of the bytes noted are going to be freed */
const char *heap_balance(size_t more);

#endif
