/* Fresh processes: those that learn from a record what to do, and not from a copy of their parent's memory. */
#ifndef MPROC_PROCESS_EXEC_CHILD_H
#define MPROC_PROCESS_EXEC_CHILD_H

#include "os/process.h"
#include "process/start_record.h"

/* The variable that a fresh process finds in its environment: "3", or "3:9". The first is where its descriptors begin;
 * the second, the one for the report, where a process waits for it. */
#define EXEC_CHILD_VARIABLE "MPROC_SPAWN"

/* Whether a fresh run of the program can be expected to become a child: 0; MPROC_NOT_INITIALIZED: it would not get to
 * mproc_init(); -EPERM: it would refuse. mproc_last_error() says why. */
int exec_child_check(void);

/* What every start by spawn or forkserver needs beforehand: refer to the function, have a family, check the argument.
 * 0, a condition, or -errno. */
int exec_child_prepare(struct start *start, struct function_reference *function);

/* A run of this program, or of what mproc_executable_set() said. */
struct exec_child_run {
    const char *title; /* for ps */
    const char *groups;
    int fds[OS_SPAWN_FDS]; /* become OS_FIRST_FD and so on */
    size_t count;
    bool is_awaited; /* it is to report that it is what it was started for */
};

/* Execute it, and wait for its report if it is to make one: a run that does not get to mproc_init() is no child, and
 * neither is one that cannot be what its record says. The pid; -errno, or 0 with a condition. */
pid_t exec_child_execute(const struct exec_child_run *run, int *condition);

/* In the fresh process: take what the variable says. The first descriptor, or 0 when there is no such variable. */
int exec_child_take_variable(void);

/* In the fresh process: report that it is what it was started for (0), or why it cannot be. */
void exec_child_report(int result);

/* The same for what it cannot be, for whatever reason a person reads on stderr; and end. */
_Noreturn void exec_child_fail(const char *name, int result, const char *reason);

/* What came to a fresh child beside its record. */
struct exec_child_descriptors {
    int sentinel;
    int leash; /* or -1 */
    int gate;  /* or -1 */
    int words; /* or -1 */
    const int *connections;
};

/* Be the child of the record. */
_Noreturn void fresh_child(struct start_record *record, const struct exec_child_descriptors *descriptors);

#endif
