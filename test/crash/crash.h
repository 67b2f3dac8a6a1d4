/* The crash harness: a victim is run to one machine instruction of an operation and killed there; then the survivors
 * work on, and the books must balance. A case describes one operation in one state of the world.
 *
 *     world = case->build()                       in the tester: the world, in shared memory
 *     case->prepare(world)                        in the victim, at full speed; may be NULL
 *     case->operate(world)                        in the victim, up to the kill
 *     wrong = case->check(world, finished)        in the tester: work on, and compare
 *     case->destroy(world)
 *
 * for every instruction from the entry of operate to its return. There are three kinds of death: of the victim; of the
 * victim and then of the one that repairs; and none, but a stop that is longer than every tick. check must be done
 * within SURVIVORS_MS. After destroy every byte of the heap must be back, and every slot of a dead member.
 *
 * `crash` (drive.c) hands the work out to programs of the two builds, crash_O0 and crash_O2 (run.c), each a family of
 * its own. To add a list of cases, declare it here and name it in run.c. */
#ifndef TEST_CRASH_H
#define TEST_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SURVIVORS_MS 2000

/* The timeout of a victim that waits in vain: longer than it takes to come to its sleep by single steps. */
#define CRASH_WAIT MPROC_MS(60)

struct crash_case {
    const char *operation;
    const char *state;
    void *(*build)(void);
    void (*prepare)(void *world); /* without operate: in the tester, see named.h */
    void (*operate)(void *world);
    const char *(*check)(void *world, bool finished); /* finished: the operation had returned before the kill. NULL, or
                                                         what is wrong */
    void (*destroy)(void *world);
    void (*repair)(void *world); /* what mends, in a second victim; or NULL. Also what others do while it is stopped */
};

/* The cases, in files of this folder by subject. Each list ends with an operation of NULL. */
extern const struct crash_case heap_cases[];
extern const struct crash_case member_cases[];
extern const struct crash_case lock_cases[];
extern const struct crash_case semaphore_cases[];
extern const struct crash_case condition_cases[];
extern const struct crash_case sync_cases[];
extern const struct crash_case queue_cases[];
extern const struct crash_case queue_end_cases[];
extern const struct crash_case connection_cases[];
extern const struct crash_case process_cases[];
extern const struct crash_case list_cases[];
extern const struct crash_case settle_cases[];
extern const struct crash_case pool_cases[];
extern const struct crash_case worker_cases[];
extern const struct crash_case call_cases[];
extern const struct crash_case elastic_cases[];
extern const struct crash_case job_cases[];
extern const struct crash_case result_cases[];
extern const struct crash_case container_cases[];
extern const struct crash_case small_container_cases[];
extern const struct crash_case free_container_cases[];
extern const struct crash_case make_container_cases[];
extern const struct crash_case broken_cases[]; /* each must be found to fail */

/* ---- stepping (step.c), for the runner ---- */

/* An instruction of a victim that was put in the place of its own, see breakpoint.h. */
struct breakpoint {
    uintptr_t address; /* 0: none */
    unsigned char byte;
};

/* A process that is traced, from the entry of a function on. */
struct victim {
    pid_t pid;
    uintptr_t end;         /* where the function returns to; 0 for one that was named */
    uintptr_t kernel_code; /* where it has the vdso */
    bool repeats;          /* it is inside an instruction that repeats itself, as a copy of memory may */
    bool gone;             /* it has exited, and is to be reaped */
    bool kept;             /* by somebody else */
    bool divides;          /* it may fork or have threads */
    struct breakpoint breakpoints[2];
};

/* The way through an operation. Point p is before the instruction with number p; the last point is the return, or the
 * exit of the process (address 0). */
struct point {
    uintptr_t address;
    uint32_t pass;    /* how often the address was met up to here */
    uint32_t calls;   /* system calls up to here */
    uint32_t anchor;  /* the point from which on it is reached by single steps */
    bool new_state;   /* shared memory is another than at the point before, or a system call lies between */
    bool passed_over; /* late in a loop, where only some passes are tried */
};

struct trace {
    struct point *points;
    size_t count; /* points, so one more than there are steps */
    size_t calls; /* system calls among the steps; the points before and after each are points like all others */
};

/* Start a victim, stopped before the first instruction of the case's operation; divides: it may fork or start threads
 * in it. */
struct victim victim_start(const struct crash_case *subject, void *world, bool divides);

/* Step through all of it and note the way, with what changes in shared memory. */
struct trace victim_trace(struct victim *victim);
void trace_free(struct trace *trace);

/* Go to a point: by a breakpoint, and then by steps. False when the victim took another way this time, and is at its
 * end or elsewhere. */
bool victim_go(struct victim *victim, const struct trace *trace, size_t point);

/* Do so many single steps. False when the end comes before. */
bool victim_step(struct victim *victim, size_t steps);

/* Let it run to its end. */
void victim_run(struct victim *victim);

/* Whether it is at its end. */
bool victim_has_finished(const struct victim *victim);

/* Kill it and wait until it is gone. */
void victim_kill(struct victim *victim);

/* Stop it as SIGSTOP does, and let go of it; and let it go on to its end. False when that does not come in time. */
void victim_pause(struct victim *victim);
bool victim_continue(struct victim *victim);

/* ---- for the cases (world.c) ---- */

/* End this program with a word about what failed in the harness itself. */
void give_up(const char *what) __attribute__((noreturn));

/* Seconds of a clock that only goes on. */
double seconds_now(void);

/* The same without the time for which the whole machine stood still, or this program waited for a CPU, which is
 * nobody's fault; and whether more than SURVIVORS_MS of it have gone by since it was begin. Stalls are seen from
 * stalls_watch() on. */
double seconds_of_work(void);
bool is_too_late(double begin);
void stalls_watch(void);

/* For one that looks every now and then whether others have done something: it is over when so many seconds of work
 * have gone by, not counted those in which one of the others was ready and had no CPU. */
struct patience {
    double left;
    double most;
    double looked;
};

struct patience patience_for(double seconds);
bool patience_is_over(struct patience *patience);

/* ---- who has no CPU (starved.c); may be called in a signal handler ---- */

/* How long this program was ready and waited for a CPU, ever. */
double starved_seconds(void);

/* The same of this program together with the processes that descend from it and are there now. */
double family_starved_seconds(void);

/* Whether one of those that descend from it is ready and has no CPU now: this program itself has it. */
bool somebody_starves(void);

/* Zeroed shared memory. */
void *world_alloc(size_t size);

/* A bystander: a process that runs a function with the world, and is killed and reaped by bystander_end(). It dies with
 * the process that started it, so build starts it and not the victim. */
pid_t bystander_start(void (*run)(void *world), void *world);
void bystander_end(pid_t bystander);

/* A process that runs a function with the world, and then dies as if killed. */
void bystander_die_in(void (*run)(void *world), void *world);

/* Wait until the condition holds, for SURVIVORS_MS at most. */
bool within_time(bool (*condition)(void *world), void *world);

/* Whether every byte of the heap is accounted for: its audit finds nothing, and so many bytes more are in use than at
 * the last heap_note(). NULL, or what is wrong. */
void heap_note(void);
void heap_note_less(size_t less); /* so many of the bytes noted are going to be freed */
const char *heap_balance(size_t more);

/* The blocks that are in use, by address; at most so many, of which it returns the number. */
size_t heap_inventory(void **blocks, size_t most);

#endif
