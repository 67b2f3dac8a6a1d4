/* What an imap tells on its way: how far it is, which workers died, and at which inputs. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    INPUTS = 60,
    SHORT = 20 /* milliseconds that an input takes */
};

struct source {
    long next, count;
};

static int next_number(void *arg, void *in)
{
    struct source *source = arg;
    if (source->next == source->count)
        return MPROC_CLOSED;
    *(long *)in = source->next++;
    return 0;
}

static int take_time(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    nap(SHORT);
    return *(const long *)in % 20 == 7;
}

static int die_at_sevens(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    if (*(const long *)in % 7 == 3)
        raise(SIGKILL);
    return 0;
}

static void take_all(mproc_imap *imap)
{
    int result;
    while ((result = mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60))) != MPROC_CLOSED)
        assert_true(result >= 0 && result != MPROC_TIMEOUT);
}

/* ---- progress ---- */

struct progress {
    pthread_t caller;
    size_t last, total;
    int calls;
};

static void note_progress(void *arg, size_t done, size_t total)
{
    struct progress *progress = arg;
    assert_true(pthread_equal(progress->caller, pthread_self()));
    assert_true(done > progress->last);
    progress->calls++;
    progress->last = done;
    progress->total = total;
}

static void progress_is_told(size_t total, size_t chunk)
{
    struct progress progress = {.caller = pthread_self()};
    struct source source = {.count = INPUTS};
    mproc_pool *pool = make_pool(2);
    mproc_imap *imap;
    const mproc_imap_options options = {.next = next_number,
                                        .arg = &source,
                                        .in_size = sizeof(long),
                                        .chunk = chunk,
                                        .total = total,
                                        .progress = note_progress,
                                        .progress_arg = &progress};
    int64_t begin = milliseconds();
    assert_int_equal(mproc_pool_imap(pool, &imap, take_time, NULL, &options), 0);
    take_all(imap);
    assert_int_equal(progress.last, INPUTS);
    assert_int_equal(progress.total, total);
    assert_in_range(progress.calls, 2, 2 + (milliseconds() - begin) / 100);
    assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_NOWAIT), MPROC_CLOSED);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
}

static void progress_is_told_to_the_caller(void **state)
{
    (void)state;
    progress_is_told(INPUTS, 1);
    progress_is_told(0, 4);
}

/* ---- show ---- */

static char *shown(size_t total, long taken)
{
    static char text[4096];
    struct source source = {.count = 20};
    mproc_pool *pool = make_pool(2);
    mproc_imap *imap;
    int ends[2], kept = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    fflush(stderr);
    dup2(ends[1], STDERR_FILENO);
    const mproc_imap_options options = {
        .next = next_number, .arg = &source, .in_size = sizeof(long), .total = total, .show = "numbers"};
    int result = mproc_pool_imap(pool, &imap, take_time, NULL, &options);
    for (long i = 0; i < taken && !result; i++)
        mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60));
    mproc_imap_free(imap);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(ends[1]);
    ssize_t length = read(ends[0], text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    close(ends[0]);
    mproc_pool_free(pool);
    assert_int_equal(result, 0);
    return text;
}

static void the_last_line_says_how_it_ended(void **state)
{
    (void)state;
    char *text = shown(20, 21);
    assert_non_null(strstr(text, "numbers: 20/20  100%"));
    assert_non_null(strstr(text, "  in "));
    assert_non_null(strstr(text, "1 failed"));
    text = shown(0, 21);
    assert_non_null(strstr(text, "numbers: 20  "));
    assert_null(strchr(text, '%'));
    text = shown(0, 1);
    assert_non_null(strstr(text, "stopped after"));
}

/* ---- deaths ---- */

struct told {
    mproc_imap *imap;
    pthread_t caller;
    size_t deaths[INPUTS]; /* by number of input */
    bool has_input;
};

static void note_death(void *arg, const mproc_postmortem *postmortem)
{
    struct told *told = arg;
    size_t size;
    const long *input = mproc_imap_input(told->imap, postmortem->index, &size);
    assert_true(pthread_equal(told->caller, pthread_self()));
    assert_int_equal(postmortem->exit, -SIGKILL);
    told->deaths[postmortem->index]++;
    told->has_input = told->has_input && input && size == sizeof *input && *input == (long)postmortem->index;
}

static void deaths_are_told(bool unordered, size_t chunk, unsigned retries)
{
    struct told told = {.caller = pthread_self(), .has_input = true};
    struct source source = {.count = INPUTS};
    mproc_pool *pool = make_pool(2);
    const mproc_imap_options options = {.next = next_number,
                                        .arg = &source,
                                        .in_size = sizeof(long),
                                        .chunk = chunk,
                                        .retries = retries,
                                        .unordered = unordered,
                                        .died = note_death,
                                        .died_arg = &told};
    assert_int_equal(mproc_pool_imap(pool, &told.imap, die_at_sevens, NULL, &options), 0);
    for (size_t i = 0, index, size; i < INPUTS; i++) {
        int result = mproc_imap_next(told.imap, NULL, &index, MPROC_SEC(60));
        assert_int_equal(result, index % 7 == 3 ? MPROC_WORKER_DIED : 0);
        const long *input = mproc_imap_input(told.imap, index, &size);
        assert_non_null(input);
        assert_int_equal(*input, index);
        assert_int_equal(told.deaths[index], index % 7 == 3 ? 1 + retries : 0);
    }
    assert_true(told.has_input);
    assert_null(mproc_imap_input(told.imap, INPUTS, NULL));
    assert_int_equal(mproc_imap_next(told.imap, NULL, NULL, MPROC_SEC(60)), MPROC_CLOSED);
    mproc_imap_free(told.imap);
    mproc_pool_free(pool);
}

static void each_death_is_told_with_its_input(void **state)
{
    (void)state;
    deaths_are_told(false, 1, 0);
    deaths_are_told(true, 1, 0);
    deaths_are_told(false, 9, 2);
}

/* The caller hears of it while the input is tried again, and not only with its outcome. */
static int die_first_then_wait(void *ctx, const void *in, void *out)
{
    struct gate *gate = ctx;
    (void)in;
    (void)out;
    if (atomic_fetch_add(&gate->begun, 1) == 0)
        raise(SIGKILL);
    while (!atomic_load(&gate->open))
        nap(1);
    return 0;
}

static void open_gate(void *arg, const mproc_postmortem *postmortem)
{
    (void)postmortem;
    atomic_store(&((struct gate *)arg)->open, true);
}

static void a_death_is_told_soon(void **state)
{
    struct gate *gate = make_gate();
    struct source source = {.count = 1};
    mproc_pool *pool = make_pool(1);
    mproc_imap *imap;
    (void)state;
    const mproc_imap_options options = {.next = next_number,
                                        .arg = &source,
                                        .in_size = sizeof(long),
                                        .retries = 1,
                                        .died = open_gate,
                                        .died_arg = gate};
    assert_int_equal(mproc_pool_imap(pool, &imap, die_first_then_wait, gate, &options), 0);
    assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60)), 0);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
    mproc_free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(progress_is_told_to_the_caller),
        unit(the_last_line_says_how_it_ended),
        unit(each_death_is_told_with_its_input),
        unit(a_death_is_told_soon),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
