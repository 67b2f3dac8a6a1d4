/* The storm's beginning, its watch, and its end. */
#include "storm.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST_THREADS 8

struct storm storm = {.seconds = 10,
                      .seed = 1,
                      .threads = 3,
                      .workers = MOST_WORKERS,
                      .kill_ms = 30,
                      .limit_ms = 1000,
                      .swap = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP};

static struct user users[MOST_THREADS];

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void nap_us(int64_t microseconds)
{
    struct timespec span = {.tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000};
    while (nanosleep(&span, &span) && errno == EINTR) {
    }
}

uint64_t random_below(uint64_t *state, uint64_t bound)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % bound;
}

void wrong(const char *format, ...)
{
    va_list list;
    atomic_fetch_add(&storm.wrongs, 1);
    va_start(list, format);
    fputs("storm: WRONG: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
}

const char *kind_name(enum kind kind)
{
    static const char *const names[KINDS] = {
        "map",  "limited map", "map with a timeout", "call",       "submit", "get",   "cancel",
        "poll", "imap_next",   "imap_free",          "run_on_all", "resize", "stats", "future_free",
        "join", "create",      "(recovery)"};
    return names[kind];
}

void begin_call(struct user *user, enum kind kind)
{
    atomic_store(&user->kind, (int)kind);
    atomic_store(&user->since, now_ns());
}

void end_call(struct user *user)
{
    struct figures *figures = &storm.figures[atomic_load(&user->kind)];
    int64_t took = now_ns() - atomic_exchange(&user->since, 0);
    int64_t longest = atomic_load(&figures->longest);
    atomic_fetch_add(&figures->calls, 1);
    while (took > longest && !atomic_compare_exchange_weak(&figures->longest, &longest, took)) {
    }
    if (took <= storm.limit_ms * 1000000)
        return;
    atomic_fetch_add(&figures->over, 1);
    wrong("%s of thread %u took %.3f s, in round %llu", kind_name((enum kind)atomic_load(&user->kind)), user->number,
          (double)took / 1e9, (unsigned long long)user->rounds);
}

/* ---- the report ---- */

static void report(void)
{
    printf("%-20s %10s %12s %6s\n", "call", "calls", "longest ms", "over");
    for (int i = 0; i < KINDS; i++) {
        struct figures *figures = &storm.figures[i];
        if (atomic_load(&figures->calls))
            printf("%-20s %10llu %12.1f %6llu\n", kind_name((enum kind)i),
                   (unsigned long long)atomic_load(&figures->calls), (double)atomic_load(&figures->longest) / 1e6,
                   (unsigned long long)atomic_load(&figures->over));
    }
    printf("items: %llu done, %llu died, %llu cancelled, %llu late; %llu pools; killed: %llu workers, %llu servers\n",
           (unsigned long long)atomic_load(&storm.done), (unsigned long long)atomic_load(&storm.died),
           (unsigned long long)atomic_load(&storm.cancelled), (unsigned long long)atomic_load(&storm.late),
           (unsigned long long)atomic_load(&storm.pools), (unsigned long long)atomic_load(&storm.worker_kills),
           (unsigned long long)atomic_load(&storm.server_kills));
    fflush(stdout);
}

/* A hang is the end: what follows from it would only hide it. */
static void look_for_hangs(void)
{
    int64_t now = now_ns();
    for (unsigned i = 0; i < storm.threads; i++) {
        int64_t since = atomic_load(&users[i].since);
        if (!since || now - since < (int64_t)HANG_MS * 1000000)
            continue;
        wrong("%s of thread %u hangs, in round %llu, with the seed %llu",
              kind_name((enum kind)atomic_load(&users[i].kind)), i, (unsigned long long)users[i].rounds,
              (unsigned long long)storm.seed);
        report();
        if (getenv("STORM_STAYS")) /* for the debugger */
            pause();
        _exit(1);
    }
}

/* ---- the arguments ---- */

static bool take(const char *argument, const char *name, int64_t least, int64_t most, int64_t *value)
{
    char *end;
    size_t length = strlen(name);
    if (strncmp(argument, name, length) != 0 || argument[length] != '=')
        return false;
    *value = strtoll(argument + length + 1, &end, 10);
    if (!*end && *value >= least && *value <= most)
        return true;
    fprintf(stderr, "storm: %s: from %lld to %lld\n", argument, (long long)least, (long long)most);
    exit(2);
}

static bool take_method(const char *argument)
{
    storm.as_threads = strcmp(argument, "method=threads") == 0;
    if (storm.as_threads)
        storm.kill_ms = 0;
    else if (strcmp(argument, "method=fork") == 0)
        storm.method = MPROC_START_FORK;
    else if (strcmp(argument, "method=spawn") == 0)
        storm.method = MPROC_START_SPAWN;
    else
        return false;
    return true;
}

static void take_argument(const char *argument)
{
    int64_t value;
    if (take(argument, "seconds", 1, 1000000, &storm.seconds) || take(argument, "kills", 0, 100000, &storm.kill_ms) ||
        take(argument, "limit", 1, 1000000, &storm.limit_ms) || take_method(argument))
        return;
    if (take(argument, "seed", 0, INT64_MAX, &value))
        storm.seed = (uint64_t)value;
    else if (take(argument, "threads", 1, MOST_THREADS, &value))
        storm.threads = (unsigned)value;
    else if (take(argument, "workers", 1, MOST_WORKERS, &value))
        storm.workers = (unsigned)value;
    else {
        fprintf(stderr, "storm: what is %s?\n", argument);
        exit(2);
    }
}

/* ---- the whole ---- */

static bool arena_is_empty(void)
{
    mproc_memory_statistics usage;
    return mproc_memory_usage(&usage) == 0 && usage.allocated == 0;
}

/* What the dead have left is swept up within some ticks. */
static void audit(void)
{
    int64_t end = now_ns() + INT64_C(5000000000);
    mproc_event *event = mproc_calloc(1, sizeof *event);
    mproc_event_init(event);
    while (now_ns() < end) {
        mproc_event_wait(event, MPROC_MS(110)); /* a sleeper sweeps */
        mproc_free(event);
        if (arena_is_empty())
            return;
        event = mproc_calloc(1, sizeof *event);
        mproc_event_init(event);
    }
    mproc_free(event);
    mproc_memory_statistics usage;
    mproc_memory_usage(&usage);
    wrong("%zu bytes are left in the arena", usage.allocated);
}

int main(int argc, char **argv)
{
    pthread_t killer;
    if (mproc_init())
        return 2;
    for (int i = 1; i < argc; i++)
        take_argument(argv[i]);
    uint64_t random = storm.seed;
    int result = make_pool(&random);
    if (result) {
        fprintf(stderr, "storm: no pool: %s\n", mproc_strerror(result));
        return 2;
    }
    for (unsigned i = 0; i < storm.threads; i++) {
        users[i] = (struct user){.number = i, .random = storm.seed * 1000003 + i};
        pthread_create(&users[i].thread, NULL, use_pool, &users[i]);
    }
    if (storm.kill_ms)
        pthread_create(&killer, NULL, kill_processes, NULL);
    for (int64_t end = now_ns() + storm.seconds * 1000000000; now_ns() < end; nap_us(100000))
        look_for_hangs();
    atomic_store(&storm.ends, true);
    for (unsigned i = 0; i < storm.threads; i++)
        while (pthread_tryjoin_np(users[i].thread, NULL) == EBUSY) {
            look_for_hangs();
            nap_us(10000);
        }
    if (storm.kill_ms)
        pthread_join(killer, NULL);
    mproc_pool_free(storm.pool);
    audit();
    report();
    printf("storm: %s, seed %llu\n", atomic_load(&storm.wrongs) ? "FAILED" : "nothing was found",
           (unsigned long long)storm.seed);
    return atomic_load(&storm.wrongs) != 0;
}
