/* The crash cases of the list of jobs: whoever takes the lock over mends the list, and may die of it. */
#include "bare_pool.h"
#include "crash.h"
#include <mproc/memory.h>

static void *build_equal(void)
{
    return bare_pool_build((const int[BARE_JOBS]){0, 0, 0, 0});
}

/* The last one belongs behind the first two, before the third. */
static void *build_between(void)
{
    return bare_pool_build((const int[BARE_JOBS]){9, 5, -3, 5});
}

static void *build_urgent(void)
{
    return bare_pool_build((const int[BARE_JOBS]){9, 5, -3, 10});
}

static void *build_idle(void)
{
    return bare_pool_build((const int[BARE_JOBS]){9, 5, -3, -9});
}

static void destroy(void *bare)
{
    mproc_free(bare);
}

static void add_last(void *arg)
{
    struct bare_pool *bare = arg;
    pool_lock(&bare->pool);
    job_list_add_last(&bare->pool.list, &bare->jobs[BARE_JOBS - 1]);
    pool_unlock(&bare->pool);
}

static void add_first(void *arg)
{
    struct bare_pool *bare = arg;
    pool_lock(&bare->pool);
    job_list_add_first(&bare->pool.list, &bare->jobs[BARE_JOBS - 1]);
    pool_unlock(&bare->pool);
}

static void remove_at(struct bare_pool *bare, int place)
{
    pool_lock(&bare->pool);
    job_list_remove(&bare->pool.list, &bare->jobs[place]);
    pool_unlock(&bare->pool);
}

static void remove_first(void *bare)
{
    remove_at(bare, 0);
}

static void remove_middle(void *bare)
{
    remove_at(bare, 1);
}

static void remove_last(void *bare)
{
    remove_at(bare, 2);
}

static const char *check(void *arg, bool finished)
{
    struct bare_pool *bare = arg;
    (void)finished;
    if (pool_lock(&bare->pool))
        return "the lock cannot be had";
    const char *wrong = bare_pool_compare(bare);
    pool_unlock(&bare->pool);
    return wrong ? wrong : heap_balance(mproc_usable_size(bare));
}

const struct crash_case list_cases[] = {
    {"pool_list", "add last", build_equal, NULL, add_last, check, destroy, bare_pool_mend},
    {"pool_list", "add first", build_equal, NULL, add_first, check, destroy, bare_pool_mend},
    {"pool_list", "add between", build_between, NULL, add_last, check, destroy, bare_pool_mend},
    {"pool_list", "add before its equals", build_between, NULL, add_first, check, destroy, bare_pool_mend},
    {"pool_list", "add the most urgent", build_urgent, NULL, add_last, check, destroy, bare_pool_mend},
    {"pool_list", "add the least urgent", build_idle, NULL, add_first, check, destroy, bare_pool_mend},
    {"pool_list", "remove first", build_equal, NULL, remove_first, check, destroy, bare_pool_mend},
    {"pool_list", "remove the most urgent", build_between, NULL, remove_first, check, destroy, bare_pool_mend},
    {"pool_list", "remove middle", build_equal, NULL, remove_middle, check, destroy, bare_pool_mend},
    {"pool_list", "remove last", build_equal, NULL, remove_last, check, destroy, bare_pool_mend},
    {0},
};
