/* The words that public structs keep for members to come: what wants something unknown is refused, and what the library
 * fills in has them zero. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <string.h>
#include <unistd.h>

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int task(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return 0;
}

static int no_input(void *arg, void *in)
{
    (void)arg;
    (void)in;
    return 1;
}

static int construct(void **object, const mproc_value *args, size_t count)
{
    (void)args;
    (void)count;
    *object = NULL;
    return 0;
}

/* Each function that is handed a struct, with one of its words set: options, initialized so. */

#define WITH_WORD(type, ...)                                                                                           \
    type options = {__VA_ARGS__};                                                                                      \
    options.reserved[word] = 1

static int start_process(size_t word)
{
    mproc_process *process;
    WITH_WORD(mproc_process_options, 0);
    return mproc_process_start(&process, nothing, NULL, &options);
}

static int start_member(size_t word)
{
    mproc_group *group;
    WITH_WORD(mproc_process_options, 0);
    assert_int_equal(mproc_group_create(&group, NULL), 0);
    int result = mproc_group_start(group, NULL, nothing, NULL, &options);
    mproc_group_free(group);
    return result;
}

static int create_group(size_t word)
{
    mproc_group *group;
    WITH_WORD(mproc_group_options, 0);
    return mproc_group_create(&group, &options);
}

static int create_queue(size_t word)
{
    mproc_queue *queue;
    WITH_WORD(mproc_queue_options, 0);
    return mproc_queue_create(&queue, &options);
}

static int create_listener(size_t word)
{
    mproc_listener *listener;
    WITH_WORD(mproc_listener_options, 0);
    return mproc_listener_create(&listener, "unix:", &options);
}

static int connect_to_listener(size_t word)
{
    mproc_connection *connection;
    WITH_WORD(mproc_connect_options, 0);
    return mproc_connect(&connection, "unix:/no/such", &options, MPROC_NOWAIT);
}

static int create_manager(size_t word)
{
    mproc_manager *manager;
    WITH_WORD(mproc_manager_options, 0);
    return mproc_manager_create(&manager, &options);
}

static int serve_manager(size_t word)
{
    WITH_WORD(mproc_manager_options, .key = "key", .key_size = 3);
    return mproc_manager_serve("unix:/no/such", &options);
}

static int connect_to_manager(size_t word)
{
    mproc_manager *manager;
    WITH_WORD(mproc_manager_options, 0);
    return mproc_manager_connect(&manager, "unix:/no/such", &options, MPROC_NOWAIT);
}

static int register_type(size_t word)
{
    WITH_WORD(mproc_manager_type, .name = "of a newer version", .construct = construct);
    return mproc_manager_register(&options);
}

static int create_pool(size_t word)
{
    mproc_pool *pool;
    WITH_WORD(mproc_pool_options, 0);
    return mproc_pool_create(&pool, &options);
}

static void what_a_newer_header_asks_for_is_refused(void **state)
{
    static const struct {
        int (*function)(size_t word);
        size_t size; /* of the reserved words */
    } calls[] = {
        {start_process, sizeof((mproc_process_options *)0)->reserved},
        {start_member, sizeof((mproc_process_options *)0)->reserved},
        {create_group, sizeof((mproc_group_options *)0)->reserved},
        {create_queue, sizeof((mproc_queue_options *)0)->reserved},
        {create_listener, sizeof((mproc_listener_options *)0)->reserved},
        {connect_to_listener, sizeof((mproc_connect_options *)0)->reserved},
        {create_manager, sizeof((mproc_manager_options *)0)->reserved},
        {serve_manager, sizeof((mproc_manager_options *)0)->reserved},
        {connect_to_manager, sizeof((mproc_manager_options *)0)->reserved},
        {register_type, sizeof((mproc_manager_type *)0)->reserved},
        {create_pool, sizeof((mproc_pool_options *)0)->reserved},
    };
    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (size_t word = 0; word < calls[i].size / sizeof(uint64_t); word++)
            assert_int_equal(calls[i].function(word), -EINVAL);
}

static void what_a_newer_header_asks_of_a_map_is_refused(void **state)
{
    mproc_pool *pool = make_pool(1);
    mproc_future *future;
    mproc_imap *imap;
    (void)state;
    for (size_t word = 0; word < sizeof((mproc_map *)0)->reserved / 8; word++) {
        mproc_map map = {.count = 1};
        map.reserved[word] = (uint64_t)1 << 63;
        assert_int_equal(mproc_pool_map(pool, task, NULL, &map, MPROC_FOREVER), -EINVAL);
        assert_int_equal(mproc_pool_run_on_all(pool, task, NULL, &map, MPROC_FOREVER), -EINVAL);
        assert_int_equal(mproc_pool_map_async(pool, &future, task, NULL, &map), -EINVAL);
        mproc_imap_options options = {.next = no_input, .in_size = 1};
        options.reserved[word] = 1;
        assert_int_equal(mproc_pool_imap(pool, &imap, task, NULL, &options), -EINVAL);
        mproc_submit_options submit = {.in = NULL};
        submit.reserved[word] = 1;
        assert_int_equal(mproc_pool_submit_with(pool, &future, task, NULL, &submit), -EINVAL);
    }
    mproc_pool_free(pool);
}

static void must_be_zero(const uint64_t *words, size_t size)
{
    for (size_t i = 0; i < size / sizeof *words; i++)
        assert_int_equal(words[i], 0);
}

static void statistics_have_zeros_in_what_they_do_not_tell(void **state)
{
    mproc_pool *pool = make_pool(1);
    mproc_memory_statistics memory;
    mproc_pool_statistics statistics;
    mproc_worker_stats worker;
    (void)state;
    memset(&memory, 'x', sizeof memory);
    memset(&statistics, 'x', sizeof statistics);
    memset(&worker, 'x', sizeof worker);
    assert_int_equal(mproc_memory_usage(&memory), 0);
    assert_int_equal(mproc_pool_stats(pool, &statistics, &worker, 1), 1);
    must_be_zero(memory.reserved, sizeof memory.reserved);
    must_be_zero(statistics.reserved, sizeof statistics.reserved);
    must_be_zero(worker.reserved, sizeof worker.reserved);
    mproc_pool_free(pool);
}

static int leave(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    _exit(3);
}

static void a_postmortem_has_zeros_in_what_it_does_not_tell(void **state)
{
    mproc_pool *pool = make_pool(1);
    mproc_future *future;
    mproc_postmortem death;
    (void)state;
    memset(&death, 'x', sizeof death);
    assert_int_equal(mproc_pool_submit(pool, &future, leave, NULL, NULL, 0, 0), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), MPROC_WORKER_DIED);
    assert_int_equal(mproc_future_postmortem(future, 0, &death), 0);
    must_be_zero(death.reserved, sizeof death.reserved);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(what_a_newer_header_asks_for_is_refused),
        unit(what_a_newer_header_asks_of_a_map_is_refused),
        unit(statistics_have_zeros_in_what_they_do_not_tell),
        unit(a_postmortem_has_zeros_in_what_it_does_not_tell),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
