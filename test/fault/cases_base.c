/* The cases of every.h for the library as a whole, shared memory and the log. */
#include "every.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/base.h>
#include <mproc/log.h>
#include <mproc/memory.h>
#include <string.h>
#include <unistd.h>

enum {
    SMALL = 100,
    LARGE = 9 << 20,
    HUGE_SIZE = 40 << 20
};

/* ---- the library ---- */

static int call_wait_check_set(void)
{
    mproc_wait_check_set(NULL, NULL);
    return 0;
}

static int call_strerror(void)
{
    return mproc_strerror(MPROC_TIMEOUT)[0] && mproc_strerror(-EINVAL)[0] ? 0 : -1;
}

static int call_version(void)
{
    return mproc_version()[0] ? 0 : -1;
}

static int call_last_error(void)
{
    return mproc_last_error()[0] ? 0 : -1;
}

static int call_cpu_count(void)
{
    return mproc_cpu_count() >= 1 ? 0 : -1;
}

/* ---- shared memory ---- */

/* What a child takes or moves, its parent frees. */
static struct blocks {
    unsigned char *block, *neighbour;
} * at;

/* A small block that stays, so that the memory around it stays. */
static void begin_beside(void)
{
    at = every_shared();
    at->neighbour = mproc_alloc(SMALL);
    every_must(at->neighbour ? 0 : -errno);
    at->block = NULL;
}

static void begin_small(void)
{
    begin_beside();
    at->block = mproc_calloc(1, SMALL);
    every_must(at->block ? 0 : -errno);
}

static void begin_large(void)
{
    begin_beside();
    at->block = mproc_calloc(1, LARGE);
    every_must(at->block ? 0 : -errno);
}

static void end_block(void)
{
    every_must(mproc_free(at->block));
    every_must(mproc_free(at->neighbour));
}

/* Whether there is a block, its size and what is in it. */
static void look_at_block(long *seen)
{
    seen[0] = at->block != NULL;
    seen[1] = (long)mproc_usable_size(at->block);
    seen[2] = at->block ? at->block[0] : 0;
    seen[3] = at->block ? at->block[SMALL / 2 - 1] : 0;
}

/* A block that is made smaller may stay as large as it is where that cannot be done. */
static void look_at_shrunk_block(long *seen)
{
    seen[0] = mproc_usable_size(at->block) >= SMALL;
    seen[1] = at->block[0];
}

static int taken(void *address)
{
    if (!address)
        return -errno;
    at->block = address;
    memset(at->block, 7, SMALL / 2);
    return 0;
}

static int alloc_small(void)
{
    return taken(mproc_alloc(SMALL));
}

static int alloc_large(void)
{
    return taken(mproc_alloc(LARGE));
}

static int alloc_huge(void)
{
    return taken(mproc_alloc(HUGE_SIZE));
}

static int calloc_small(void)
{
    return taken(mproc_calloc(SMALL / 10, 10));
}

static int calloc_large(void)
{
    return taken(mproc_calloc(3, 1 << 20));
}

static int memdup_large(void)
{
    static const char bytes[3 << 20];
    return taken(mproc_memdup(bytes, sizeof bytes));
}

static int strdup_small(void)
{
    return taken(mproc_strdup("small"));
}

static int realloc_nothing(void)
{
    return taken(mproc_realloc(at->block, LARGE));
}

static int grow(void)
{
    void *moved = mproc_realloc(at->block, 2 * (size_t)LARGE);
    if (!moved)
        return -errno;
    at->block = moved;
    return 0;
}

static int shrink(void)
{
    void *moved = mproc_realloc(at->block, LARGE / 4);
    if (!moved)
        return -errno;
    at->block = moved;
    return 0;
}

static int shrink_much(void)
{
    void *moved = mproc_realloc(at->block, SMALL);
    if (!moved)
        return -errno;
    at->block = moved;
    return 0;
}

static int call_free(void)
{
    int result = mproc_free(at->block);
    if (!result)
        at->block = NULL;
    return result;
}

static int call_usable_size(void)
{
    return mproc_usable_size(at->block) >= SMALL ? 0 : -1;
}

static int call_is_shared(void)
{
    return mproc_is_shared(at->block) && !mproc_is_shared(&at) ? 0 : -1;
}

static mproc_memory_statistics usage;

static void begin_usage(void)
{
    memset(&usage, 0, sizeof usage);
}

static int call_memory_usage(void)
{
    return mproc_memory_usage(&usage);
}

static void look_at_usage(long *seen)
{
    seen[0] = usage.address_space != 0;
    seen[1] = (long)usage.allocated;
}

/* ---- the log ---- */

static int lines, snapshot_stderr;

static void count_line(void *arg, int level, const char *process, const char *text)
{
    (void)arg;
    (void)level;
    (void)process;
    (void)text;
    lines++;
}

static void begin_log_to_nowhere(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    snapshot_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    if (nowhere < 0 || snapshot_stderr < 0 || dup2(nowhere, STDERR_FILENO) < 0 || close(nowhere))
        every_wrong("stderr cannot be replaced");
    every_must(mproc_log_to_stderr(MPROC_LOG_INFO));
}

static void end_log(void)
{
    every_must(mproc_log_to_stderr(MPROC_LOG_OFF));
    lines = 0;
}

static void end_log_to_nowhere(void)
{
    end_log();
    if (dup2(snapshot_stderr, STDERR_FILENO) < 0 || close(snapshot_stderr))
        every_wrong("stderr cannot be put back");
}

static void begin_log_to_callback(void)
{
    every_must(mproc_log_to_callback(count_line, NULL));
    every_must(mproc_log_set_level(MPROC_LOG_INFO));
}

static void look_at_log(long *seen)
{
    seen[0] = mproc_log_level();
    seen[1] = lines;
}

static int call_log(void)
{
    errno = ERANGE;
    mproc_log(MPROC_LOG_INFO, "%d", 1);
    return errno == ERANGE ? 0 : -1;
}

static int log_below(void)
{
    mproc_log(MPROC_LOG_DEBUG, "%d", 1);
    return 0;
}

static int call_log_level(void)
{
    return mproc_log_level() == MPROC_LOG_OFF ? 0 : -1;
}

static int call_log_set_level(void)
{
    return mproc_log_set_level(MPROC_LOG_ERROR);
}

static int call_log_to_stderr(void)
{
    return mproc_log_to_stderr(MPROC_LOG_ERROR);
}

/* A callback that was set before is remembered, so each is another one. */
static char sinks[1000];
static size_t next_sink;

static int log_to_new_callback(void)
{
    int result = mproc_log_to_callback(count_line, &sinks[next_sink % sizeof sinks]);
    if (!result)
        next_sink++;
    return result;
}

static int log_to_known_callback(void)
{
    return mproc_log_to_callback(count_line, NULL);
}

static const struct every_scene nothing = {NULL, NULL, NULL};
static const struct every_scene no_block = {begin_beside, look_at_block, end_block};
static const struct every_scene small_block = {begin_small, look_at_block, end_block};
static const struct every_scene large_block = {begin_large, look_at_block, end_block};
static const struct every_scene shrinking_block = {begin_large, look_at_shrunk_block, end_block};
static const struct every_scene no_usage = {begin_usage, look_at_usage, NULL};
static const struct every_scene log_to_nowhere = {begin_log_to_nowhere, look_at_log, end_log_to_nowhere};
static const struct every_scene log_to_callback = {begin_log_to_callback, look_at_log, end_log};
static const struct every_scene log_off = {NULL, look_at_log, end_log};

static const struct every_case list[] = {
    {"mproc_wait_check_set", NULL, &nothing, call_wait_check_set, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_strerror", NULL, &nothing, call_strerror, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_version", NULL, &nothing, call_version, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_last_error", NULL, &nothing, call_last_error, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_init", NULL, &nothing, mproc_init, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_cpu_count", NULL, &nothing, call_cpu_count, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_alloc", "small", &no_block, alloc_small, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_alloc", "large", &no_block, alloc_large, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_alloc", "in several steps", &no_block, alloc_huge, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_calloc", "small", &no_block, calloc_small, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_calloc", "large", &no_block, calloc_large, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_memdup", "large", &no_block, memdup_large, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_strdup", NULL, &no_block, strdup_small, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_realloc", "of nothing", &no_block, realloc_nothing, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_realloc", "small to large", &small_block, grow, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_realloc", "large to larger", &large_block, grow, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_realloc", "large to smaller", &shrinking_block, shrink, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_realloc", "large to small", &shrinking_block, shrink_much, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_free", "nothing", &no_block, call_free, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_free", "small", &small_block, call_free, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_free", "large", &large_block, call_free, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_usable_size", NULL, &large_block, call_usable_size, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_is_shared", NULL, &small_block, call_is_shared, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_memory_usage", NULL, &no_usage, call_memory_usage, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_log", "to stderr", &log_to_nowhere, call_log, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_log", "to a callback", &log_to_callback, call_log, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_log", "below the level", &log_to_callback, log_below, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_log_level", NULL, &nothing, call_log_level, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_log_set_level", NULL, &log_off, call_log_set_level, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_log_to_stderr", NULL, &log_off, call_log_to_stderr, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_log_to_callback", "a new one", &log_off, log_to_new_callback, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_log_to_callback", "a known one", &log_to_callback, log_to_known_callback, 0, CHILD_STAYS_OUT,
     .calls = CALLS_NONE},
};

const struct every_table cases_base = {list, sizeof list / sizeof *list};
