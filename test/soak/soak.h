/* The soak: producers, consumers, lockers, allocators and the workers of a pool work on the same objects, while a
 * killer sends SIGKILL, SIGSTOP and SIGCONT to them at random moments. Whoever dies is replaced. What each of them is
 * about to do, and what it has done, stands in books that no death can damage, and the books must balance.
 *
 *     keeper    the main process: starts, reaps, replaces, keeps the books, reports; is never killed
 *     killer    its child: kills and stops, and sees to it that somebody gets on
 *     seats     the places of the victims: whoever dies is replaced by another life in the same seat
 *
 * The books lie in memory of their own, and only the objects under test in the arena, so that a damaged arena does not
 * damage the books. */
#ifndef TEST_SOAK_H
#define TEST_SOAK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define QUEUES        2 /* one without a bound, one with */
#define PRODUCERS     4 /* two at each queue; so the consumers */
#define CONSUMERS     4
#define LOCKERS       3
#define ALLOCATORS    2
#define HOSTS         1
#define SEATS         (PRODUCERS + CONSUMERS + LOCKERS + ALLOCATORS + HOSTS)
#define DESKS         2
#define POOL_WORKERS  2
#define WRONGS        64
#define STALL_BUCKETS (40 * 8)

/* What a life works at. After a kill the time is measured until somebody else gets something done there. */
enum subject {
    SUBJECT_PUT,
    SUBJECT_GET = SUBJECT_PUT + QUEUES,
    SUBJECT_DESK = SUBJECT_GET + QUEUES,
    SUBJECT_HEAP = SUBJECT_DESK + DESKS,
    SUBJECT_POOL,
    SUBJECTS
};

enum lock_phase {
    OUTSIDE,
    WANTS, /* perhaps it holds the lock */
    HOLDS,
    LEAVES /* perhaps it still holds the lock */
};

/* The place of one victim. The keeper writes pid, life and killed while nobody sits there; the killer sets killed
 * before it kills; the victim alone writes the rest, and the keeper reads it when the victim is dead. */
struct seat {
    const struct trade *trade;
    unsigned number;    /* among the seats of its trade */
    _Atomic(pid_t) pid; /* 0: nobody; cleared under kill_lock before the process is reaped */
    _Atomic(bool) killed;
    _Atomic(uint64_t) life;
    _Atomic(uint64_t) kills; /* by the killer */
    _Atomic(const char *) doing;
    _Atomic(unsigned) subject;
    /* producers: numbers of messages of this seat */
    _Atomic(uint64_t) begun;    /* the last that is or was about to be put */
    _Atomic(uint64_t) returned; /* the last whose put has returned */
    _Atomic(uint64_t) newest;   /* the highest that a consumer has noted */
    /* consumers: how many messages it may have got and not noted */
    _Atomic(unsigned) in_hand;
    /* lockers */
    _Atomic(unsigned) phase;
    _Atomic(unsigned) desk;
    _Atomic(uint64_t) sections[DESKS]; /* times it went through */
} __attribute__((aligned(64)));

/* A kind of victim. */
struct trade {
    const char *name; /* in the plural */
    unsigned seats;
    void (*open)(void);                /* in the keeper, before the first life; may be NULL */
    void (*work)(struct seat *seat);   /* in the victim, until world->ending */
    void (*settle)(struct seat *seat); /* in the keeper, when the victim is dead; may be NULL */
    void (*close)(void);               /* in the keeper, when all have ended: the audit */
};

extern const struct trade producers, consumers, lockers, allocators, hosts;

/* What is broken on purpose, to see that the books find it. */
enum lie {
    LIE_NONE,
    LIE_DROP,  /* a message is got and not noted */
    LIE_TWICE, /* a message is noted twice */
    LIE_TORN,  /* a byte of a message is wrong */
    LIE_ORDER, /* messages are put in the wrong order */
    LIE_ENTER, /* somebody is inside without the lock */
    LIE_LEAK,  /* a block is forgotten */
    LIE_WRITE, /* a block is written to by somebody else */
    LIE_TASK,  /* a task's result is wrong */
    LIE_HANG,  /* somebody keeps a lock for good */
    LIES
};

struct stalls {
    _Atomic(uint64_t) bucket[STALL_BUCKETS];
    _Atomic(uint64_t) longest;
};

struct world {
    uint64_t seed;
    unsigned rate; /* kills in a second */
    int64_t began;
    int64_t ends;
    enum lie lie;
    pid_t keeper;
    _Atomic(bool) ending;      /* go home when what you are at is done */
    pthread_mutex_t kill_lock; /* taken by the killer and the keeper only, who are never killed */
    struct seat seats[SEATS];

    _Atomic(int64_t) progress[SUBJECTS]; /* when somebody got something done there */
    _Atomic(uint64_t) mark[SUBJECTS];    /* 0, or when (42 bits, ns since began) and whom (22 bits) a kill hit there */
    _Atomic(uint64_t) done[SUBJECTS];    /* how much was done there */
    struct stalls stalls;                /* all */
    struct stalls quiet_stalls;          /* those while nobody was stopped */
    struct stalls quiet_stalls_at[SUBJECTS];
    _Atomic(bool) stopped;       /* somebody is stopped now */
    _Atomic(int64_t) stop_ended; /* when the last one went on */

    _Atomic(uint64_t) worker_kills, server_kills, stops, killed_while_stopped;
    _Atomic(uint64_t) owner_died[DESKS], task_deaths, maps;
    _Atomic(pid_t) workers[POOL_WORKERS * 2]; /* as their tasks say; checked before they are killed */
    _Atomic(pid_t) server;

    _Atomic(uint64_t) wrongs;
    struct {
        _Atomic(bool) ready;
        char text[248];
    } wrong[WRONGS];
};
extern struct world *world;

/* ---- books.c: for everybody ---- */

/* Zeroed memory that all processes share, outside the arena. Pages are taken when they are touched. */
void *book_pages(size_t size);

/* Note that something is wrong. */
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

int64_t now_ns(void);
uint64_t mix(uint64_t number);

/* The random numbers of this process. */
void random_begin(uint64_t seed);
uint64_t random_below(uint64_t bound);
bool one_in(uint64_t times);

/* Whether to break something now, as asked for on the command line. */
bool lies(enum lie lie);

/* The victim says what it is at. */
void begin(struct seat *seat, unsigned subject, const char *doing);

/* Something was done at a subject, by this process. */
void progress(unsigned subject);

/* A kill has hit somebody who worked at a subject; at is the time before the kill. */
void mark_kill(unsigned subject, pid_t pid, int64_t at);

/* The stall, in ms, that this share of all was shorter than. */
double stall_quantile(const struct stalls *stalls, double share);
uint64_t stall_count(const struct stalls *stalls);

/* A nap of so many microseconds. */
void nap_us(long microseconds);

/* ---- killer.c ---- */

/* The killer's life, until world->ends. */
void killer_run(void);

/* Who stands where, and what was wrong since the last time, on stderr. */
void print_seats(void);
void print_wrongs(void);
const char *subject_name(unsigned subject);

/* ---- audits: figures for the report, in the keeper, after close ---- */

struct message_figures {
    uint64_t put, got, in_doubt, in_doubt_there, lost, may_lose;
};
struct message_figures message_figures(void);

/* How many blocks were being taken by mproc_alloc(), or freed by mproc_free(), by an allocator that died. */
uint64_t cells_in_doubt(void);

/* Look at every block that is still in use when nobody is left who could use one. */
struct leaks {
    uint64_t blocks, bytes;
};
struct leaks cells_audit_leaks(void);

/* No more messages will be put: consumers end when they have got the rest. */
void messages_finish(void);

#endif
