/* Hosts that make life hard for a pool: many threads that hold locks, much memory, a sudden death at any moment. */
#include "children.h"
#include "harness.h"
#include "pools.h"
#include "processes.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- threads ---- */

enum {
    THREADS = 50,
    BUSY = 4 /* of these are in malloc() all the time */
};

struct crowd {
    pthread_t threads[THREADS];
    atomic_bool over;
    atomic_int holds; /* how often a thread held stderr */
};

static void *hold_the_heap(void *arg)
{
    struct crowd *crowd = arg;
    for (unsigned i = 0; !atomic_load(&crowd->over); i++) {
        void *volatile block = malloc(i * 977 % 100000 + 1);
        free(block);
    }
    return NULL;
}

static void *hold_stderr(void *arg)
{
    struct crowd *crowd = arg;
    while (!atomic_load(&crowd->over)) {
        flockfile(stderr);
        atomic_fetch_add(&crowd->holds, 1);
        nap(1);
        funlockfile(stderr);
    }
    return NULL;
}

static void *sleep_until_over(void *arg)
{
    struct crowd *crowd = arg;
    while (!atomic_load(&crowd->over))
        nap(20);
    return NULL;
}

static void gather(struct crowd *crowd, void *(*first)(void *), void *(*others)(void *))
{
    atomic_store(&crowd->over, false);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&crowd->threads[i], NULL, i < BUSY ? first : others, crowd), 0);
}

static void dismiss(struct crowd *crowd)
{
    atomic_store(&crowd->over, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(crowd->threads[i], NULL);
}

/* Needs all the locks that the host's threads hold. */
static int use_heap_and_streams(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    flockfile(stderr);
    funlockfile(stderr);
    FILE *file = fopen("/dev/null", "we");
    if (!file)
        return errno;
    *(int *)out = fprintf(file, "%*d", 5000, 1);
    return fclose(file);
}

static void must_use_heap_and_streams(mproc_pool *pool)
{
    int out[20];
    const mproc_map map = {.count = 20, .out = out, .out_size = sizeof *out, .chunk = 1};
    assert_int_equal(mproc_pool_map(pool, use_heap_and_streams, NULL, &map, MPROC_SEC(60)), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(out[i], 5000);
}

static bool stderr_was_held(void *crowd)
{
    return atomic_load(&((struct crowd *)crowd)->holds) > 0;
}

static int end_worker(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return raise(SIGKILL);
}

static void must_die(mproc_pool *pool)
{
    assert_int_equal(mproc_pool_call(pool, end_worker, NULL, NULL, 0, NULL, 0, MPROC_SEC(60)), MPROC_WORKER_DIED);
}

static void a_host_whose_threads_hold_locks_makes_and_uses_pools(void **state)
{
    struct crowd crowd = {.holds = 0};
    (void)state;
    gather(&crowd, hold_the_heap, hold_stderr);
    assert_true(wait_until(stderr_was_held, &crowd, PATIENCE_MS));
    for (int i = 0; i < 5; i++) {
        mproc_pool *pool = make_pool(2);
        must_use_heap_and_streams(pool);
        must_die(pool);
        must_use_heap_and_streams(pool);
        mproc_pool_free(pool);
    }
    dismiss(&crowd);
}

/* ---- what a pool costs a large host ---- */

struct costs {
    int64_t making;    /* a pool of one worker */
    int64_t replacing; /* a worker that has died: until the next call is answered */
};

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The medians of a few. */
static struct costs measure(void)
{
    enum {
        TIMES = 9
    };
    int64_t making[TIMES], replacing[TIMES];
    long in = 3, out;
    for (int i = 0; i < TIMES; i++) {
        int64_t begin = now();
        mproc_pool *pool = make_pool(1);
        int64_t made = now();
        must_die(pool);
        assert_int_equal(mproc_pool_call(pool, square, NULL, &in, sizeof in, &out, sizeof out, MPROC_SEC(60)), 0);
        making[i] = made - begin;
        replacing[i] = now() - made;
        mproc_pool_free(pool);
    }
    qsort(making, TIMES, sizeof *making, compare);
    qsort(replacing, TIMES, sizeof *replacing, compare);
    return (struct costs){making[TIMES / 2], replacing[TIMES / 2]};
}

/* Measure before and while the host is large, a few times if something else has disturbed it. */
static void must_cost_no_more(void *(*grow)(void), void (*shrink)(void *))
{
    enum {
        TRIES = 5,
        FACTOR = 4
    };
    for (int i = 0; i < TRIES; i++) {
        struct costs small = measure();
        void *much = grow();
        struct costs large = measure();
        shrink(much);
        if (large.making < FACTOR * small.making && large.replacing < FACTOR * small.replacing)
            return;
        print_message("making: %.3f ms, then %.3f ms; replacing: %.3f ms, then %.3f ms\n", (double)small.making / 1e6,
                      (double)large.making / 1e6, (double)small.replacing / 1e6, (double)large.replacing / 1e6);
    }
    fail_msg("a large host pays more than %d times as much", FACTOR);
}

#define GIGABYTE ((size_t)1 << 30)

static void *take_memory(void)
{
    volatile char *memory = mmap(NULL, GIGABYTE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal((void *)memory, MAP_FAILED);
    madvise((void *)memory, GIGABYTE, MADV_NOHUGEPAGE); /* in many pages, each of which a fork would look at */
    for (size_t i = 0; i < GIGABYTE; i += 4096)
        memory[i] = 1;
    return (void *)memory;
}

static void give_memory_back(void *memory)
{
    munmap(memory, GIGABYTE);
}

static void *start_threads(void)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    assert_non_null(crowd);
    gather(crowd, sleep_until_over, sleep_until_over);
    return crowd;
}

static void end_threads(void *crowd)
{
    dismiss(crowd);
    free(crowd);
}

/* These hold for a server that is spawned. One that is forked has all that the host has. */
static void a_pool_costs_a_host_with_much_memory_no_more(void **state)
{
    (void)state;
    must_cost_no_more(take_memory, give_memory_back);
}

static void a_pool_costs_a_host_with_many_threads_no_more(void **state)
{
    (void)state;
    must_cost_no_more(start_threads, end_threads);
}

/* ---- a sudden end ---- */

static int hang(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    nap(1000000);
    return 0;
}

/* Makes pools, has work done, loses workers, frees every other pool, until it is killed. */
static int host_pools_for_ever(void *arg)
{
    (void)arg;
    for (unsigned i = 0;; i++) {
        mproc_future *future;
        mproc_pool *pool;
        const mproc_pool_options options = {.workers = 2, .max_workers = 3, .method = pool_method};
        if (mproc_pool_create(&pool, &options))
            return 1;
        mproc_pool_call(pool, end_worker, NULL, NULL, 0, NULL, 0, MPROC_FOREVER);
        mproc_pool_resize(pool, 3);
        for (int k = 0; k < 3; k++)
            mproc_pool_submit(pool, &future, hang, NULL, NULL, 0, 0);
        if (i % 2)
            mproc_pool_free(pool);
    }
}

/* Processes without a parent become this one's children. */
static bool no_child_is_left(void *arg)
{
    (void)arg;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

static void a_host_that_is_killed_at_any_moment_leaves_no_process(void **state)
{
    enum {
        HOSTS = 40
    };
    unsigned seed = 10;
    size_t before = bytes_in_use();
    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    for (int i = 0; i < HOSTS; i++) {
        const struct timespec delay = {.tv_nsec = rand_r(&seed) % 20000000};
        pid_t host = program_start(host_pools_for_ever, NULL);
        nanosleep(&delay, NULL);
        assert_int_equal(kill(host, SIGKILL), 0);
        assert_true(wait_until(no_child_is_left, NULL, PATIENCE_MS));
    }
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
    assert_true(wait_until(bytes_are, &before, PATIENCE_MS));
}

/* ---- a host that gives up privileges ---- */

static int who_am_i(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(uid_t *)out = geteuid();
    return 0;
}

static int no_more_inputs(void *arg, void *in)
{
    (void)arg;
    (void)in;
    return MPROC_CLOSED;
}

static bool is_refused(int result)
{
    return result == -EPERM && strstr(mproc_last_error(), "make the pool after that");
}

/* The number of the first call that the pool does not refuse, or 0. */
static int first_not_refused(mproc_pool *pool)
{
    const mproc_imap_options options = {.next = no_more_inputs, .in_size = 1, .out_size = sizeof(uid_t)};
    uid_t out[4];
    const mproc_map map = {.count = 4, .out = out, .out_size = sizeof *out};
    mproc_future *future;
    mproc_imap *imap;
    if (!is_refused(mproc_pool_map(pool, who_am_i, NULL, &map, MPROC_SEC(60))))
        return 1;
    if (!is_refused(mproc_pool_map_async(pool, &future, who_am_i, NULL, &map)))
        return 2;
    if (!is_refused(mproc_pool_run_on_all(pool, who_am_i, NULL, &(mproc_map){0}, MPROC_SEC(60))))
        return 3;
    if (!is_refused(mproc_pool_imap(pool, &imap, who_am_i, NULL, &options)))
        return 4;
    if (!is_refused(mproc_pool_call(pool, who_am_i, NULL, NULL, 0, out, sizeof *out, MPROC_SEC(60))))
        return 5;
    return is_refused(mproc_pool_submit(pool, &future, who_am_i, NULL, NULL, 0, sizeof *out)) ? 0 : 6;
}

static int drop_root_between_two_pools(void *arg)
{
    uid_t who = 0;
    mproc_pool *pool = make_pool(2);
    (void)arg;
    if (mproc_pool_call(pool, who_am_i, NULL, NULL, 0, &who, sizeof who, MPROC_SEC(60)) || who != 0)
        return 10;
    mproc_pool *unused = make_pool(1);
    mproc_pool *threads;
    if (mproc_pool_create(&threads, &(mproc_pool_options){.workers = 1, .threads = true}))
        return 11;
    if (setgid(65534) || setuid(65534))
        return 12;
    mproc_future *future; /* the first call of its pool */
    if (!is_refused(mproc_pool_submit(unused, &future, who_am_i, NULL, NULL, 0, sizeof who)))
        return 13;
    int wrong = first_not_refused(pool);
    if (wrong)
        return wrong;
    mproc_pool_free(pool);
    mproc_pool_free(unused);
    if (mproc_pool_call(threads, who_am_i, NULL, NULL, 0, &who, sizeof who, MPROC_SEC(60)) || who != 65534)
        return 14;
    mproc_pool_free(threads);
    who = 0;
    pool = make_pool(2);
    if (mproc_pool_call(pool, who_am_i, NULL, NULL, 0, &who, sizeof who, MPROC_SEC(60)) || who != 65534)
        return 15;
    mproc_pool_free(pool);
    return 0;
}

static void a_host_that_gave_up_privileges_needs_a_new_pool(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: it takes root to become another user\n");
        skip();
    }
    pid_t host = program_start(drop_root_between_two_pools, NULL);
    assert_int_equal(child_finish(host), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_host_whose_threads_hold_locks_makes_and_uses_pools),
        unit(a_host_that_is_killed_at_any_moment_leaves_no_process),
        unit(a_host_that_gave_up_privileges_needs_a_new_pool),
    };
    const struct CMUnitTest tests_of_costs[] = {
        unit(a_pool_costs_a_host_with_much_memory_no_more),
        unit(a_pool_costs_a_host_with_many_threads_no_more),
    };
    int failed = run_with_each_server(tests, sizeof tests / sizeof *tests);
    return failed + cmocka_run_group_tests(tests_of_costs, make_first_pool, NULL);
}
