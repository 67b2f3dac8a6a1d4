/* The hot paths of the library, each as a step that can be repeated. Run one at a time by paths.c, for test_limits.sh
 * to count the instructions and the system calls of a step. The files beside it list them. */
#ifndef GUARD_PATHS_H
#define GUARD_PATHS_H

#include <mproc.h>
#include <stddef.h>

#define NO_INSTRUCTIONS "-"

/* A path is settled by the code alone where it has one process and waits for nobody: a limit on its instructions is
 * above what was counted for what a change of no weight does, and one on its system calls is what was counted. Other
 * paths go a little by whom the kernel runs when. */
struct path {
    const char *name;
    void *(*make)(void);                  /* what the steps work on; NULL: nothing */
    void (*step)(void *object, size_t i); /* i counts the steps */
    void (*end)(void *object);            /* or NULL */
    const char *function;                 /* NULL: all that a step does is counted; a function of the library: the
                                             instructions in it, and nothing else; NO_INSTRUCTIONS: system calls only */
    size_t lead;                          /* steps that come first and do not count */
    size_t steps;                         /* that count */
    unsigned instructions_margin;         /* per cent that a limit is above what was counted */
    unsigned calls_margin;
};

/* Lists of paths; a path without a name ends each. */
extern const struct path sync_paths[], message_paths[], container_paths[], process_paths[];

/* Leave with a sentence unless a result is the one that is expected. */
void expect(int result, int expected, const char *what);

/* The same where success is expected. */
static inline void check(int result, const char *what)
{
    if (result)
        expect(result, 0, what);
}

/* Zeroed shared memory. */
void *shared(size_t size);

/* Be a manager's server at an address, for a path whose client alone is counted. Returns the exit code. */
int be_server(const char *address);

#endif
