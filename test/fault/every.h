/* Every public function of the library, each by every way through it, while the system calls that it makes fail once in
 * turn. What is to be walked are tables of cases, one in each cases_*.c; test_every_*.c walk one each, and
 * test_every_function.c sees to it that no function of mproc.map is missing from them.
 *
 * A case is made ready, called, looked at and put away, and none but the call has failing system calls. It is walked in
 * this process, and once more in forked children, which are no members of the family yet and may fail to become one.
 * The result of a call that met a failure is the one that it has without, or the error that was met, but for an
 * interruption, of which nothing is to be seen; with the error everything looks as before the call, no byte and no
 * descriptor more is taken, and the same call does it all when it is made again. */
#ifndef TEST_FAULT_EVERY_H
#define TEST_FAULT_EVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
    EVERY_SEEN = 6,
    EVERY_ANSWERS = 3
};

/* What a forked child does with a case. */
enum every_child {
    CHILD_JOINS,     /* it makes the call, which makes it a member of the family */
    CHILD_STAYS_OUT, /* it makes the call, and is no member for that */
    CHILD_MAY_NOT,   /* the call is for the process that made the object, or of no meaning in another */
    CHILD_ALONE      /* the call is made in children only: it works once in each process */
};

/* Which system calls a call makes, where that is known: in a child that joins there are those of joining too. */
enum every_calls {
    CALLS,         /* some that can fail */
    CALLS_NONE,    /* */
    CALLS_AT_TIMES /* those that are made every tick, whoever comes first */
};

/* What calls are made on. */
struct every_scene {
    void (*begin)(void);      /* makes ready, or NULL */
    void (*look)(long *seen); /* up to EVERY_SEEN figures of what can be seen, or NULL */
    void (*end)(void);        /* puts away, after a call that was done in the end; or NULL */
};

struct every_case {
    const char *function; /* as in mproc.map */
    const char *when;     /* what way through it, NULL when there is one only */
    const struct every_scene *scene;
    int (*call)(void); /* the call; its result as an int */
    int result;        /* of the call when nothing fails */
    enum every_child child;
    enum every_calls calls;
    const char *also;           /* another function that the call makes and that may fail, or NULL */
    bool is_final;              /* after a failure the object is used up, as after MPROC_BROKEN, or half is done */
    long most;                  /* calls of each kind that fail, the first; 0: all of them */
    int answers[EVERY_ANSWERS]; /* other results by which it may tell of a failure, as documented */
};

/* Say that something is not as it should be, in begin, look or end. The case fails, and is walked to its end. */
void every_wrong(const char *what);

/* That a step of begin or end is done. */
void every_must(int result);

/* The error with which a system call failed in this run, of the call or of whoever it set to work; or 0. */
int every_struck(void);

/* A page of memory that forked children share, for what a child makes and its parent puts away. */
void *every_shared(void);

/* A thread that does what the call waits for: it waits until somebody in the family sleeps, then runs fn. */
void every_help(void (*fn)(void));

/* A thread that runs fn; it is waited for until it sleeps. */
void every_sleeper(int (*fn)(void));

/* A thread that runs fn. */
void every_thread(int (*fn)(void));

/* Wait until somebody in the family sleeps, or until the condition holds; for threads, and for begin. */
void every_await_sleeper(void);
void every_await(bool (*condition)(void *));

/* Wait for the end of the thread. Returns what fn returned, or 0. */
int every_join(void);

/* Walk all cases of a table as tests. To be returned by main(). */
int every_run(const char *title, const struct every_case *cases, size_t count);

/* The tables, each in the file of its name. */
struct every_table {
    const struct every_case *cases;
    size_t count;
};

extern const struct every_table cases_base, cases_sync, cases_wakes, cases_queue, cases_connection, cases_listener,
    cases_wait, cases_process, cases_start, cases_group, cases_pool, cases_tasks, cases_host, cases_memory,
    cases_values, cases_containers, cases_manager;

#endif
