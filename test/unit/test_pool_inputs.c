/* Inputs of any size: each task sees its own, whole, whatever the others have, and wherever they lie. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <glob.h>
#include <mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    INPUTS = 300
};

struct seen {
    size_t size;
    unsigned sum;
    bool is_shared;
};

static unsigned sum_of(const unsigned char *bytes, size_t size)
{
    unsigned sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

/* ctx: which input takes its worker along, or NULL. */
static int look_at_input(void *ctx, const void *in, void *out)
{
    struct seen *seen = out;
    size_t size = mproc_task_input_size();
    if (ctx && size == *(const size_t *)ctx)
        abort();
    *seen = (struct seen){.size = size, .sum = sum_of(in, size), .is_shared = mproc_is_shared(in)};
    return !in != !size || (uintptr_t)in % 16 != 0;
}

/* Of all sizes up to most, one of them 0. */
static mproc_input *make_inputs(size_t count, size_t most)
{
    mproc_input *inputs = malloc(count * sizeof *inputs);
    for (size_t i = 0; i < count; i++) {
        inputs[i] = (mproc_input){.size = i * most / count};
        unsigned char *data = inputs[i].size ? malloc(inputs[i].size) : NULL;
        for (size_t at = 0; at < inputs[i].size; at++)
            data[at] = (unsigned char)(i * 7 + at);
        inputs[i].data = data;
    }
    return inputs;
}

static void free_inputs(mproc_input *inputs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)inputs[i].data);
    free(inputs);
}

static void assert_seen(const struct seen *seen, const mproc_input *input)
{
    assert_int_equal(seen->size, input->size);
    assert_int_equal(seen->sum, sum_of(input->data, input->size));
}

static void map_inputs(mproc_pool *pool, size_t count, size_t most, size_t chunk)
{
    mproc_input *inputs = make_inputs(count, most);
    struct seen *seen = calloc(count, sizeof *seen);
    const mproc_map map = {.count = count, .inputs = inputs, .out = seen, .out_size = sizeof *seen, .chunk = chunk};
    assert_int_equal(mproc_pool_map(pool, look_at_input, NULL, &map, MPROC_SEC(60)), 0);
    for (size_t i = 0; i < count; i++)
        assert_seen(&seen[i], &inputs[i]);
    free(seen);
    free_inputs(inputs, count);
}

static void each_task_sees_its_own_input(void **state)
{
    mproc_pool *pool = make_pool(2);
    (void)state;
    map_inputs(pool, 1, 100, 0);
    map_inputs(pool, INPUTS, 1000, 0);
    map_inputs(pool, INPUTS, 1000, 7);
    map_inputs(pool, 20000, 300, 0);
    mproc_pool_free(pool);
}

static void large_inputs_go_through_a_few_portions(void **state)
{
    mproc_pool *pool = make_pool(2);
    (void)state;
    map_inputs(pool, INPUTS, 200000, 0);
    map_inputs(pool, 12, 8 << 20, 0);
    map_inputs(pool, 12, 8 << 20, 12);
    size_t limit = bytes_in_use() + ((size_t)1 << 20);
    mproc_pool_free(pool);
    assert_true(bytes_in_use() < limit);
}

/* The memory of the arena while a map runs, as the worker sees it. */
static int note_memory(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(size_t *)out = bytes_in_use();
    return 0;
}

static void much_input_takes_bounded_memory(void **state)
{
    enum {
        COPIES = 2048,
        LARGE = 256 /* the last ones: 256 MiB */
    };
    char *data = malloc(1 << 20);
    static mproc_input inputs[COPIES];
    static size_t used[COPIES];
    mproc_pool *pool = make_pool(2);
    (void)state;
    memset(data, 1, 1 << 20);
    for (int i = 0; i < COPIES; i++)
        inputs[i] = (mproc_input){data, i < COPIES - LARGE ? 16 : 1 << 20};
    const mproc_map map = {.count = COPIES, .inputs = inputs, .out = used, .out_size = sizeof *used};
    size_t before = bytes_in_use();
    assert_int_equal(mproc_pool_map(pool, note_memory, NULL, &map, MPROC_SEC(60)), 0);
    for (int i = 0; i < COPIES; i++)
        assert_true(used[i] < before + ((size_t)16 << 20));
    mproc_pool_free(pool);
    free(data);
}

static void shared_inputs_are_used_where_they_are(void **state)
{
    enum {
        SIZE = 8 << 20
    };
    unsigned char *shared = mproc_calloc(1, SIZE);
    mproc_input inputs[2] = {{shared, SIZE}, {"private", 8}};
    size_t used[2];
    mproc_pool *pool = make_pool(1);
    (void)state;
    const mproc_map map = {.count = 2, .inputs = inputs, .out = used, .out_size = sizeof *used};
    size_t before = bytes_in_use();
    assert_int_equal(mproc_pool_map(pool, note_memory, NULL, &map, MPROC_SEC(60)), 0);
    assert_true(used[0] < before + SIZE);
    mproc_pool_free(pool);
    mproc_free(shared);
}

static void names_that_were_found_after_the_pool_was_made_arrive(void **state)
{
    mproc_pool *pool = make_pool(2);
    glob_t found;
    (void)state;
    assert_int_equal(glob("/etc/*", 0, NULL, &found), 0);
    mproc_input *inputs = calloc(found.gl_pathc, sizeof *inputs);
    struct seen *seen = calloc(found.gl_pathc, sizeof *seen);
    for (size_t i = 0; i < found.gl_pathc; i++)
        inputs[i] = (mproc_input){found.gl_pathv[i], strlen(found.gl_pathv[i]) + 1};
    const mproc_map map = {.count = found.gl_pathc, .inputs = inputs, .out = seen, .out_size = sizeof *seen};
    assert_int_equal(mproc_pool_map(pool, look_at_input, NULL, &map, MPROC_SEC(60)), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        assert_seen(&seen[i], &inputs[i]);
    free(inputs);
    free(seen);
    globfree(&found);
    mproc_pool_free(pool);
}

static void a_map_that_is_not_waited_for_copies_its_inputs_at_once(void **state)
{
    mproc_pool *pool = make_pool(2);
    mproc_input *inputs = make_inputs(INPUTS, 5000), *kept = make_inputs(INPUTS, 5000);
    struct seen *seen = calloc(INPUTS, sizeof *seen);
    mproc_future *future;
    (void)state;
    const mproc_map map = {.count = INPUTS, .inputs = inputs, .out = seen, .out_size = sizeof *seen};
    assert_int_equal(mproc_pool_map_async(pool, &future, look_at_input, NULL, &map), 0);
    free_inputs(inputs, INPUTS);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), 0);
    for (size_t i = 0; i < INPUTS; i++)
        assert_seen(&seen[i], &kept[i]);
    mproc_future_free(future);
    mproc_pool_free(pool);
    free_inputs(kept, INPUTS);
    free(seen);
}

static void a_death_at_an_input_costs_that_one_alone(void **state)
{
    mproc_pool *pool = make_pool(2);
    mproc_input *inputs = make_inputs(INPUTS, 3000);
    mproc_item_status status[INPUTS];
    struct seen seen[INPUTS];
    size_t deadly = inputs[INPUTS / 2].size;
    (void)state;
    const mproc_map map = {.count = INPUTS,
                           .inputs = inputs,
                           .out = seen,
                           .out_size = sizeof *seen,
                           .status = status,
                           .ctx_size = sizeof deadly,
                           .chunk = 9,
                           .retries = 1};
    assert_int_equal(mproc_pool_map(pool, look_at_input, &deadly, &map, MPROC_SEC(60)), MPROC_WORKER_DIED);
    for (size_t i = 0; i < INPUTS; i++) {
        assert_int_equal(status[i].result, i == INPUTS / 2 ? MPROC_WORKER_DIED : 0);
        if (i != INPUTS / 2)
            assert_seen(&seen[i], &inputs[i]);
    }
    mproc_pool_free(pool);
    free_inputs(inputs, INPUTS);
}

static int note_size(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(size_t *)out = mproc_task_input_size();
    return 0;
}

static void every_task_can_ask_for_the_size_of_its_input(void **state)
{
    mproc_pool *pool = make_pool(1);
    char in[33] = {0};
    size_t size = 0;
    (void)state;
    assert_int_equal(mproc_pool_call(pool, note_size, NULL, in, sizeof in, &size, sizeof size, MPROC_SEC(60)), 0);
    assert_int_equal(size, sizeof in);
    assert_int_equal(mproc_pool_call(pool, note_size, NULL, NULL, 0, &size, sizeof size, MPROC_SEC(60)), 0);
    assert_int_equal(size, 0);
    assert_int_equal(mproc_task_input_size(), 0);
    mproc_pool_free(pool);
}

static void threads_and_calls_to_all_see_them_too(void **state)
{
    const mproc_input inputs[2] = {{"one", 4}, {"fourteen", 9}};
    struct seen seen[2];
    mproc_pool *pools[2] = {make_pool(2), NULL};
    (void)state;
    assert_int_equal(mproc_pool_create(&pools[1], &(mproc_pool_options){.workers = 2, .threads = true}), 0);
    for (int i = 0; i < 2; i++) {
        const mproc_map map = {.count = 2, .inputs = inputs, .out = seen, .out_size = sizeof *seen};
        assert_int_equal(mproc_pool_run_on_all(pools[i], note_size, NULL, &map, MPROC_SEC(60)), 0);
        assert_int_equal(seen[0].size, 4);
        assert_int_equal(seen[1].size, 9);
        assert_int_equal(mproc_pool_map(pools[i], note_size, NULL, &map, MPROC_SEC(60)), 0);
        assert_int_equal(seen[1].size, 9);
        mproc_pool_free(pools[i]);
    }
}

/* ---- imap ---- */

/* Each input is written to the same memory. */
struct source {
    const mproc_input *inputs;
    size_t next, count;
    unsigned char *buffer;
};

static int next_input(void *arg, mproc_input *input)
{
    struct source *source = arg;
    if (source->next == source->count)
        return MPROC_CLOSED;
    const mproc_input *from = &source->inputs[source->next++];
    if (from->size)
        memcpy(source->buffer, from->data, from->size);
    *input = (mproc_input){source->buffer, from->size};
    return 0;
}

static void iterate(mproc_pool *pool, size_t chunk)
{
    mproc_input *inputs = make_inputs(INPUTS, 20000);
    struct source source = {.inputs = inputs, .count = INPUTS, .buffer = malloc(20000)};
    struct seen seen;
    mproc_imap *imap;
    const mproc_imap_options options = {
        .next_input = next_input, .arg = &source, .out_size = sizeof seen, .chunk = chunk, .bytes_in_flight = 100000};
    assert_int_equal(mproc_pool_imap(pool, &imap, look_at_input, NULL, &options), 0);
    for (size_t i = 0, index, size; i < INPUTS; i++) {
        assert_int_equal(mproc_imap_next(imap, &seen, &index, MPROC_SEC(60)), 0);
        assert_int_equal(index, i);
        assert_seen(&seen, &inputs[i]);
        const void *input = mproc_imap_input(imap, index, &size);
        assert_int_equal(size, inputs[i].size);
        assert_int_equal(sum_of(input, size), seen.sum);
    }
    assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60)), MPROC_CLOSED);
    mproc_imap_free(imap);
    free(source.buffer);
    free_inputs(inputs, INPUTS);
}

static void inputs_one_after_another_are_copied_before_the_next(void **state)
{
    mproc_pool *pool = make_pool(2);
    (void)state;
    iterate(pool, 1);
    iterate(pool, 5);
    mproc_pool_free(pool);
}

static int give_nothing_with_a_size(void *arg, mproc_input *input)
{
    if (++*(int *)arg > 1)
        input->size = 5;
    return 0;
}

static int give_nothing(void *arg, void *in)
{
    (void)arg;
    (void)in;
    return MPROC_CLOSED;
}

static void bad_inputs_are_refused(void **state)
{
    mproc_pool *pool = make_pool(1);
    const mproc_input inputs[] = {{"", 1}, {NULL, 1}}, huge[] = {{"", SIZE_MAX - 8}};
    mproc_future *future;
    mproc_imap *imap;
    long in = 1;
    (void)state;
    mproc_map map = {.count = 2, .inputs = inputs};
    assert_int_equal(mproc_pool_map(pool, note_size, NULL, &map, MPROC_SEC(60)), -EINVAL);
    assert_int_equal(mproc_pool_map_async(pool, &future, note_size, NULL, &map), -EINVAL);
    assert_non_null(strstr(mproc_last_error(), "mproc_pool_map_async: an entry of map.inputs"));
    assert_int_equal(mproc_pool_run_on_all(pool, note_size, NULL, &(mproc_map){.inputs = inputs + 1}, MPROC_SEC(60)),
                     -EINVAL);
    map = (mproc_map){.count = 1, .inputs = inputs, .in = &in, .in_size = sizeof in};
    assert_int_equal(mproc_pool_map(pool, note_size, NULL, &map, MPROC_SEC(60)), -EINVAL);
    map = (mproc_map){.count = 1, .inputs = huge};
    assert_int_equal(mproc_pool_map(pool, note_size, NULL, &map, MPROC_SEC(60)), -EINVAL);
    map = (mproc_map){.count = 1, .inputs = inputs, .in_size = 4};
    assert_int_equal(mproc_pool_map(pool, note_size, NULL, &map, MPROC_SEC(60)), -EINVAL);

    const mproc_imap_options both = {.next = give_nothing, .next_input = next_input, .in_size = 8};
    assert_int_equal(mproc_pool_imap(pool, &imap, note_size, NULL, &both), -EINVAL);
    const mproc_imap_options with_size = {.next_input = next_input, .in_size = 8};
    assert_int_equal(mproc_pool_imap(pool, &imap, note_size, NULL, &with_size), -EINVAL);
    int calls = 0;
    const mproc_imap_options bad_later = {
        .next_input = give_nothing_with_a_size, .arg = &calls, .out_size = sizeof(struct seen)};
    calls = 0;
    assert_int_equal(mproc_pool_imap(pool, &imap, look_at_input, NULL, &bad_later), 0);
    assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60)), -EINVAL);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(each_task_sees_its_own_input),
        unit(large_inputs_go_through_a_few_portions),
        unit(much_input_takes_bounded_memory),
        unit(shared_inputs_are_used_where_they_are),
        unit(names_that_were_found_after_the_pool_was_made_arrive),
        unit(a_map_that_is_not_waited_for_copies_its_inputs_at_once),
        unit(a_death_at_an_input_costs_that_one_alone),
        unit(every_task_can_ask_for_the_size_of_its_input),
        unit(threads_and_calls_to_all_see_them_too),
        unit(inputs_one_after_another_are_copied_before_the_next),
        unit(bad_inputs_are_refused),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
