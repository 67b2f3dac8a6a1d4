/* Failing system calls on purpose. In a build with MPROC_FAULTS each wrapper in src/os asks os_fault() first; plan.c
 * answers from a plan in shared memory, so that a test and all its descendants follow the same one.
 *
 * One test at a time arms one fault: arming replaces the last one. */
#ifndef TEST_FAULT_PLAN_H
#define TEST_FAULT_PLAN_H

#include "os/fault.h"
#include <stdbool.h>

/* A call that fails once: after so many calls of its kind that are let through, with -error. */
struct fault {
    enum os_call call;
    long after;
    int error; /* an errno, positive */
};

void fault_arm(enum os_call call, long after, int error);
void fault_disarm(void);

/* How often the armed fault has struck since it was armed: 0 or 1. */
long fault_hits(void);

/* Whether it has struck in this thread, with an error of which the library makes a note. */
bool fault_is_noted(void);

/* The armed fault, if it has struck; else error is 0. */
void fault_struck(struct fault *fault);

/* Let every call through until fault_resume(): for what an operation needs and is not about. The armed fault stays
 * armed, and its count stands still. */
void fault_suspend(void);
void fault_resume(void);

/* Calls of one kind since fault_reset(), in this process and its children, failed ones among them; and of all kinds. */
long fault_count(enum os_call call);
long fault_total(void);
void fault_reset(void);

/* The name of a kind of call. (In walk.c.) */
const char *fault_name(enum os_call call);

/* What a walk runs: an operation that can be run again and again. It returns the result of the library. */
typedef int fault_operation(void *arg);

/* What a walk asks after each run: whether the result is right and everything is as it should be, by cmocka's
 * assertions. fault is NULL when nothing was made to fail. */
typedef void fault_check(void *arg, int result, const struct fault *fault);

/* Run the operation with each of its system calls failing once in turn, with each error that is plausible for it, and
 * check each run. Ends for each kind of which it makes any with a run that the fault did not reach, which is checked
 * too. The books must balance after each run, else the test fails and the faults that unbalanced them are named on
 * stderr. Returns how many faults struck. (In walk.c.) */
long fault_walk(fault_operation *operation, fault_check *check, void *arg);

/* The same for the first calls of each kind: for an operation that makes thousands. */
long fault_walk_first(long calls, fault_operation *operation, fault_check *check, void *arg);

#endif
