/* The storm's beginning, its watch, and its end. */
#include "storm.h"

#include <errno.h>
#include <fcntl.h>
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
                      .recovery_ms = 300,
                      .swap = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP};

static struct user users[MOST_THREADS + 1]; /* the last one is the killer */

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

int64_t waited_by(pid_t pid)
{
    char path[64], text[64] = "";
    long long waited = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    bool is_told = fgets(text, sizeof text, file) && sscanf(text, "%*d %lld", &waited) == 1;
    fclose(file);
    return is_told ? (int64_t)waited : 0;
}

/* For how long the calling thread was ready to run so far and had no CPU. 0 where the kernel does not tell. */
static int64_t waited_ns(void)
{
    static _Thread_local int fd = -1;
    char text[64];
    long long waited = 0;
    if (fd < 0)
        fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = 0;
    return sscanf(text, "%*d %lld", &waited) == 1 ? (int64_t)waited : 0;
}

void begin_call(struct user *user, enum kind kind)
{
    user->waited = waited_ns();
    user->newcomer_waited = 0;
    atomic_store(&user->kind, (int)kind);
    atomic_store(&user->counted, machine_ns());
    atomic_store(&user->since, now_ns());
}

static int64_t limit_of(enum kind kind)
{
    return (kind == KIND_RECOVERY ? storm.recovery_ms : storm.limit_ms) * 1000000;
}

static void raise_to(_Atomic(int64_t) *most, int64_t value)
{
    int64_t now = atomic_load(most);
    while (value > now && !atomic_compare_exchange_weak(most, &now, value)) {
    }
}

void end_call(struct user *user)
{
    enum kind kind = (enum kind)atomic_load(&user->kind);
    struct figures *figures = &storm.figures[kind];
    int64_t took = now_ns() - atomic_exchange(&user->since, 0);
    int64_t counted = machine_ns() - atomic_load(&user->counted);
    if (counted > limit_of(kind) &&
        counted < took - took / 10) { /* the machine was late, and this thread later still */
        int64_t waited = waited_ns() - user->waited;
        int64_t active = took - (waited > user->newcomer_waited ? waited : user->newcomer_waited);
        counted = active < counted ? active : counted;
    }
    atomic_fetch_add(&figures->calls, 1);
    raise_to(&figures->longest, took);
    raise_to(&figures->counted, counted);
    if (took <= limit_of(kind))
        return;
    if (counted <= limit_of(kind)) {
        atomic_fetch_add(&figures->excused, 1);
        return;
    }
    atomic_fetch_add(&figures->over, 1);
    wrong("%s of thread %u took %.3f s, of which %.3f s count, in round %llu", kind_name(kind), user->number,
          (double)took / 1e9, (double)counted / 1e9, (unsigned long long)user->rounds);
}

/* ---- the report ---- */

static void report(void)
{
    printf("%-20s %10s %12s %12s %6s %8s\n", "call", "calls", "longest ms", "counted ms", "over", "excused");
    for (int i = 0; i < KINDS; i++) {
        struct figures *figures = &storm.figures[i];
        if (atomic_load(&figures->calls))
            printf("%-20s %10llu %12.1f %12.1f %6llu %8llu\n", kind_name((enum kind)i),
                   (unsigned long long)atomic_load(&figures->calls), (double)atomic_load(&figures->longest) / 1e6,
                   (double)atomic_load(&figures->counted) / 1e6, (unsigned long long)atomic_load(&figures->over),
                   (unsigned long long)atomic_load(&figures->excused));
    }
    printf("items: %llu done, %llu died, %llu cancelled, %llu late; %llu pools; killed: %llu workers, %llu servers\n",
           (unsigned long long)atomic_load(&storm.done), (unsigned long long)atomic_load(&storm.died),
           (unsigned long long)atomic_load(&storm.cancelled), (unsigned long long)atomic_load(&storm.late),
           (unsigned long long)atomic_load(&storm.pools), (unsigned long long)atomic_load(&storm.worker_kills),
           (unsigned long long)atomic_load(&storm.server_kills));
    fflush(stdout);
}

/* A hang is the end: what follows from it would only hide it. */
static void give_up_at(const struct user *user)
{
    wrong("%s of thread %u hangs, in round %llu, with the seed %llu", kind_name((enum kind)atomic_load(&user->kind)),
          user->number, (unsigned long long)user->rounds, (unsigned long long)storm.seed);
    report();
    if (getenv("STORM_STAYS")) /* for the debugger */
        pause();
    _exit(1);
}

/* Tell who stands where while a call takes too long. */
static void look_at(struct user *user)
{
    int64_t since = atomic_load(&user->since);
    int64_t took = now_ns() - since, counted = machine_ns() - atomic_load(&user->counted);
    enum kind kind = (enum kind)atomic_load(&user->kind);
    if (!since || took <= limit_of(kind) || counted <= limit_of(kind) || atomic_load(&user->since) != since) {
        user->is_told = false;
        return;
    }
    if (!user->is_told) {
        fprintf(stderr, "storm: %s of thread %u takes %.3f s by now, %.3f s of the machine's time:\n", kind_name(kind),
                user->number, (double)took / 1e9, (double)counted / 1e9);
        tell_processes();
        user->is_told = true;
    }
    if (took > (int64_t)HANG_MS * 1000000)
        give_up_at(user);
}

static void look_at_all(void)
{
    if (!machine_lives()) {
        wrong("the process that counts the machine's time has ended");
        _exit(1);
    }
    for (unsigned i = 0; i <= MOST_THREADS; i++)
        look_at(&users[i]);
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
        take(argument, "limit", 1, 1000000, &storm.limit_ms) ||
        take(argument, "recovery", 1, 1000000, &storm.recovery_ms) || take_method(argument))
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
    struct user *killer = &users[MOST_THREADS];
    if (mproc_init())
        return 2;
    for (int i = 1; i < argc; i++)
        take_argument(argv[i]);
    int64_t began = now_ns();
    if (!machine_begin()) {
        perror("storm: no process");
        return 2;
    }
    uint64_t random = storm.seed;
    int result = make_pool(&random);
    if (result) {
        fprintf(stderr, "storm: no pool: %s\n", mproc_strerror(result));
        return 2;
    }
    *killer = (struct user){.number = MOST_THREADS, .random = storm.seed * 7919 + 1};
    for (unsigned i = 0; i < storm.threads; i++) {
        users[i] = (struct user){.number = i, .random = storm.seed * 1000003 + i};
        pthread_create(&users[i].thread, NULL, use_pool, &users[i]);
    }
    if (storm.kill_ms)
        pthread_create(&killer->thread, NULL, kill_processes, killer);
    for (int64_t end = now_ns() + storm.seconds * 1000000000; now_ns() < end; nap_us(100000))
        look_at_all();
    atomic_store(&storm.ends, true);
    for (unsigned i = 0; i < storm.threads; i++)
        while (pthread_tryjoin_np(users[i].thread, NULL) == EBUSY) {
            look_at_all();
            nap_us(10000);
        }
    if (storm.kill_ms)
        pthread_join(killer->thread, NULL);
    mproc_pool_free(storm.pool);
    audit();
    report();
    machine_end(now_ns() - began);
    printf("storm: %s, seed %llu\n", atomic_load(&storm.wrongs) ? "FAILED" : "nothing was found",
           (unsigned long long)storm.seed);
    return atomic_load(&storm.wrongs) != 0;
}
