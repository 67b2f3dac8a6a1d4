/* The storm: several threads use one pool in all ways at once, at random, while its workers and its server are killed.
 * What must hold: each call ends, soon; each item has one outcome, and where that is 0 its result is right; no item
 * runs more often than it may; in the end nothing is left in the arena.
 *
 *     storm [seconds=N] [seed=N] [threads=N] [workers=MOST] [kills=MS] [method=fork|spawn|threads] [limit=MS]
 *           [recovery=MS]
 *
 * kills: the longest pause between two kills, the shortest is a third of it; 0: nobody is killed. limit: a call that
 * takes longer is a finding, and so is a pool that has no workers for so long as recovery says after its server was
 * killed. Both are told by the time of the machine, see machine.c: while at most five processes for each CPU want to
 * run it is that of the clock. The numbers of one run differ from those of the next with the same seed as far as the
 * kernel's scheduling does; the sequence of what each thread does is the same.
 *
 * Exit status 0 when nothing was found, else 1. It uses nothing but the public functions. */
#ifndef TEST_STORM_H
#define TEST_STORM_H

#include <mproc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    MOST_ITEMS = 200,
    MOST_TASKS = 16,
    MOST_WORKERS = 6,
    HANG_MS = 30000 /* a call that takes so long has hung */
};

/* What a call is measured as. */
enum kind {
    KIND_MAP,
    KIND_LIMITED_MAP,
    KIND_SHORT_MAP,
    KIND_CALL,
    KIND_SUBMIT,
    KIND_GET,
    KIND_CANCEL,
    KIND_POLL,
    KIND_IMAP_NEXT,
    KIND_IMAP_FREE,
    KIND_ON_ALL,
    KIND_RESIZE,
    KIND_STATS,
    KIND_FREE,
    KIND_JOIN,
    KIND_CREATE,
    KIND_RECOVERY, /* no call: from the death of a server until another has workers */
    KINDS
};

struct figures {
    _Atomic(uint64_t) calls;
    _Atomic(int64_t) longest;  /* ns, by the clock, */
    _Atomic(int64_t) counted;  /* and what of it counts */
    _Atomic(uint64_t) over;    /* those that took longer than the limit */
    _Atomic(uint64_t) excused; /* those that did so by the clock alone */
};

/* One thread that uses the pool. */
struct user {
    pthread_t thread;
    unsigned number;
    uint64_t random;
    uint64_t rounds;
    _Atomic(int64_t) since;   /* when the call began at which it is, or 0 */
    _Atomic(int64_t) counted; /* the same by the machine's time */
    _Atomic(int) kind;        /* and what it is */
    int64_t waited;           /* for how long its thread had waited for a CPU before the call */
    int64_t newcomer_waited;  /* and one that was started meanwhile, for whose start it waits */
    bool is_told;             /* by the watch: that this call takes too long */
};

struct storm {
    int64_t seconds;
    uint64_t seed;
    unsigned threads;
    unsigned workers; /* at most */
    int64_t kill_ms;
    int64_t limit_ms;
    int64_t recovery_ms;
    bool as_threads;
    enum mproc_start_method method;

    pthread_rwlock_t swap; /* read by those who use the pool, written by the one that makes another */
    mproc_pool *pool;      /* under swap */
    _Atomic(bool) ends;
    _Atomic(bool) swaps; /* the present pool is about to end */
    _Atomic(uint64_t) wrongs;
    struct figures figures[KINDS];
    _Atomic(uint64_t) worker_kills, server_kills, pools, died, cancelled, late, done;
};
extern struct storm storm;

int64_t now_ns(void);
void nap_us(int64_t microseconds);
uint64_t random_below(uint64_t *state, uint64_t bound);
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For how long a process was ready to run since its start and had no CPU. */
int64_t waited_by(pid_t pid);

/* Around each call. */
void begin_call(struct user *user, enum kind kind);
void end_call(struct user *user);
const char *kind_name(enum kind kind);

/* ---- machine.c ---- */

/* Start the process that counts the machine's time. */
bool machine_begin(void);

/* Its time. */
int64_t machine_ns(void);

/* Whether that process lives. Without it nothing is worth what it says. */
bool machine_lives(void);

/* End it, and print what the machine was like in so much of the clock's time. */
void machine_end(int64_t clock_time);

/* ---- processes.c ---- */

/* To the standard error stream. */
void tell_processes(void);

/* ---- use.c ---- */

/* The life of the user that arg is, until storm.ends. */
void *use_pool(void *arg);
int make_pool(uint64_t *random);

/* ---- kill.c ---- */

/* The parent of a process, or -1. */
pid_t parent_of(pid_t pid);

/* The life of the killer, until storm.ends. arg: a struct user, for what it waits for. */
void *kill_processes(void *arg);

#endif
