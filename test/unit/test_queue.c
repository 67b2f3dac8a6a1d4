/* Queues: what each operation promises. */
#include "arena/heap.h"
#include "harness.h"
#include "queue/ring.h"
#include "queues.h"

#include <errno.h>
#include <mproc/memory.h>
#include <mproc/queue.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void messages_come_out_in_order_whole_and_of_any_size(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    static unsigned char message[300000];
    static unsigned char got[300000];
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (unsigned char)(i * 7);
    size_t size;
    for (size_t length = 0; length < sizeof message; length = length * 2 + 1)
        assert_int_equal(mproc_queue_put(queue, message, length, MPROC_NOWAIT), 0);
    for (size_t length = 0; length < sizeof message; length = length * 2 + 1) {
        assert_int_equal(mproc_queue_get(queue, got, sizeof got, &size, MPROC_NOWAIT), 0);
        assert_int_equal(size, length);
        assert_memory_equal(got, message, length);
    }
    assert_true(mproc_queue_empty(queue));
    assert_int_equal(mproc_queue_get(queue, got, sizeof got, &size, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_null(mproc_queue_free(queue));
}

static void rings_wrap_at_every_offset(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    unsigned char message[2000];
    unsigned char got[2000];
    for (size_t round = 0; round < 5000; round++) {
        size_t length = round * 37 % sizeof message;
        memset(message, (int)round, sizeof message);
        assert_int_equal(mproc_queue_put(queue, message, length, MPROC_NOWAIT), 0);
        if (round % 3 == 0)
            assert_int_equal(mproc_queue_put(queue, message, length / 2, MPROC_NOWAIT), 0);
        size_t size;
        assert_int_equal(mproc_queue_get(queue, got, sizeof got, &size, MPROC_NOWAIT), 0);
        assert_int_equal(size, length);
        assert_memory_equal(got, message, length);
        if (round % 3 == 0)
            assert_int_equal(mproc_queue_get(queue, got, sizeof got, &size, MPROC_NOWAIT), 0);
    }
    mproc_queue_free(queue);
}

static void a_drained_queue_gives_its_memory_back(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    size_t before = heap_allocated();
    char message[100] = "message";
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100000; i++)
            assert_int_equal(mproc_queue_put(queue, message, sizeof message, MPROC_NOWAIT), 0);
        assert_int_equal(mproc_queue_size(queue), 100000);
        assert_true(heap_allocated() > before + 10000000);
        for (int i = 0; i < 100000; i++)
            assert_int_equal(mproc_queue_get(queue, message, sizeof message, NULL, MPROC_NOWAIT), 0);
        assert_true(heap_allocated() <= before + ((size_t)512 << 10));
        assert_int_equal(mproc_queue_get(queue, message, sizeof message, NULL, MPROC_MS(1)), MPROC_TIMEOUT);
        assert_int_equal(heap_allocated(), before);
    }
    mproc_queue_free(queue);
    assert_null(heap_audit());
}

static void put_and_get_large(mproc_queue *queue, size_t size)
{
    static char large[10000000];
    size_t before = heap_allocated();
    assert_int_equal(mproc_queue_put(queue, large, size, MPROC_NOWAIT), 0);
    assert_true(heap_allocated() >= before && heap_allocated() > size);
    assert_int_equal(mproc_queue_get(queue, large, size, NULL, MPROC_NOWAIT), 0);
}

static void a_very_large_message_gives_its_memory_back_when_it_is_got(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    size_t before = heap_allocated();
    put_and_get_large(queue, 10000000);
    assert_int_equal(heap_allocated(), before);
    mproc_queue_free(queue);
}

static void memory_for_large_messages_is_used_again_until_a_getter_sleeps_in_vain(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    size_t before = heap_allocated();
    put_and_get_large(queue, 1000000);
    size_t kept = heap_allocated();
    assert_true(kept > before && kept <= before + ((size_t)8 << 20));
    for (int i = 0; i < 20; i++) {
        put_and_get_large(queue, 1000000);
        assert_int_equal(heap_allocated(), kept);
    }
    assert_int_equal(mproc_queue_get(queue, NULL, 0, NULL, MPROC_MS(1)), MPROC_TIMEOUT);
    assert_int_equal(heap_allocated(), before);
    mproc_queue_free(queue);
}

static void freeing_a_full_queue_frees_every_segment(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    static char large[200000];
    for (int i = 0; i < 100; i++)
        assert_int_equal(mproc_queue_put(queue, large, sizeof large, MPROC_NOWAIT), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(mproc_queue_get(queue, large, sizeof large, NULL, MPROC_NOWAIT), 0);
    mproc_queue_free(queue); /* the books are checked after the test */
}

static void a_message_that_is_too_large_stays_and_its_size_is_told(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    char small[4];
    size_t size = 0;
    assert_int_equal(mproc_queue_put(queue, "0123456789", 10, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_queue_get(queue, small, sizeof small, &size, MPROC_NOWAIT), MPROC_TOO_SMALL);
    assert_int_equal(size, 10);
    assert_int_equal(mproc_queue_size(queue), 1);
    void *data;
    assert_int_equal(mproc_queue_get_new(queue, &data, &size, MPROC_NOWAIT), 0);
    assert_int_equal(size, 10);
    assert_memory_equal(data, "0123456789", 10);
    free(data);
    mproc_queue_free(queue);
}

static void a_bounded_queue_is_full_at_its_bound(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(3);
    for (int i = 0; i < 3; i++) {
        assert_false(mproc_queue_full(queue));
        assert_int_equal(put_int(queue, i), 0);
    }
    assert_true(mproc_queue_full(queue));
    assert_int_equal(put_int(queue, 3), MPROC_TIMEOUT);
    int value = 3;
    assert_int_equal(mproc_queue_put(queue, &value, sizeof value, MPROC_MS(30)), MPROC_TIMEOUT);
    assert_int_equal(get_int(queue), 0);
    assert_int_equal(put_int(queue, 3), 0);
    for (int i = 1; i < 4; i++)
        assert_int_equal(get_int(queue), i);
    mproc_message messages[4] = {{&value, 4}, {&value, 4}, {&value, 4}, {&value, 4}};
    assert_int_equal(mproc_queue_put_many(queue, messages, 4, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_put_many(queue, messages, 3, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_queue_put_many(queue, messages, 1, MPROC_NOWAIT), MPROC_TIMEOUT);
    mproc_queue_free(queue);
}

static void batches_stay_together_and_come_out_in_order(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    enum {
        COUNT = 500
    };
    static int values[COUNT];
    static mproc_message messages[COUNT];
    for (int round = 0; round < 100; round++) {
        size_t count = 1 + (size_t)round * 13 % COUNT;
        for (size_t i = 0; i < count; i++) {
            values[i] = (int)i + round;
            messages[i] = (mproc_message){.data = &values[i], .size = sizeof values[i]};
        }
        assert_int_equal(mproc_queue_put_many(queue, messages, count, MPROC_NOWAIT), 0);
        assert_int_equal(mproc_queue_size(queue), count);
        memset(values, 0xff, sizeof values);
        size_t got;
        for (size_t have = 0; have < count; have += got) {
            assert_int_equal(mproc_queue_get_many(queue, messages + have, 1 + count / 3, &got, MPROC_NOWAIT), 0);
            assert_true(got >= 1 && have + got <= count);
        }
        for (size_t i = 0; i < count; i++)
            assert_int_equal(values[i], (int)i + round);
        assert_true(mproc_queue_empty(queue));
    }
    size_t got;
    assert_int_equal(put_int(queue, 1), 0);
    messages[0].size = 1;
    assert_int_equal(mproc_queue_get_many(queue, messages, 2, &got, MPROC_NOWAIT), MPROC_TOO_SMALL);
    assert_int_equal(messages[0].size, sizeof(int));
    assert_int_equal(got, 0);
    mproc_queue_free(queue);
}

static void a_reserved_message_is_seen_only_when_committed(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    void *data;
    assert_int_equal(mproc_queue_reserve(queue, &data, 100, MPROC_NOWAIT), 0);
    assert_int_equal((uintptr_t)data % 16, 0);
    strcpy(data, "in place");
    assert_true(mproc_queue_empty(queue));
    assert_int_equal(put_int(queue, 1), -EDEADLK);
    assert_int_equal(mproc_queue_commit(queue, 101), -EINVAL);
    assert_int_equal(mproc_queue_commit(queue, 9), 0);
    assert_int_equal(mproc_queue_commit(queue, 9), -EPERM);
    assert_int_equal(mproc_queue_reserve(queue, &data, 1000000, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_queue_abandon(queue), 0);
    assert_int_equal(mproc_queue_abandon(queue), -EPERM);
    assert_int_equal(mproc_queue_size(queue), 1);

    const void *seen;
    size_t size;
    assert_int_equal(mproc_queue_peek(queue, &seen, &size, MPROC_NOWAIT), 0);
    assert_int_equal(size, 9);
    assert_string_equal(seen, "in place");
    assert_int_equal(get_int(queue), EDEADLK);
    assert_int_equal(mproc_queue_release(queue, false), 0);
    assert_int_equal(mproc_queue_size(queue), 1);
    assert_int_equal(mproc_queue_peek(queue, &seen, &size, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_queue_release(queue, true), 0);
    assert_int_equal(mproc_queue_release(queue, true), -EPERM);
    assert_true(mproc_queue_empty(queue));
    mproc_queue_free(queue);
}

static void a_closed_queue_takes_nothing_and_is_drained(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    assert_int_equal(put_int(queue, 1), 0);
    void *data;
    assert_int_equal(mproc_queue_reserve(queue, &data, 4, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_queue_close(queue), 0);
    assert_int_equal(mproc_queue_commit(queue, 4), MPROC_CLOSED);
    assert_int_equal(mproc_queue_close(queue), 0);
    assert_int_equal(put_int(queue, 2), MPROC_CLOSED);
    assert_int_equal(get_int(queue), 1);
    assert_int_equal(get_int(queue), -MPROC_CLOSED);
    mproc_queue_free(queue);
}

static int get_until_closed(mproc_queue *queue, int number)
{
    (void)number;
    int result;
    int value;
    do {
        result = mproc_queue_get(queue, &value, sizeof value, NULL, MPROC_SEC(20));
    } while (result == 0);
    return result;
}

static int put_until_closed(mproc_queue *queue, int number)
{
    int result;
    do {
        result = mproc_queue_put(queue, &number, sizeof number, MPROC_SEC(20));
    } while (result == 0);
    return result;
}

static bool has_sleeper(void *cell)
{
    return atomic_load(&((struct wait_cell *)cell)->word) & WAIT_CELL_SLEEPERS;
}

static int reserve_and_stay(mproc_queue *queue, int number)
{
    void *data;
    if (mproc_queue_reserve(queue, &data, (size_t)number, MPROC_NOWAIT) || put_int(queue, 1) != -EDEADLK)
        return 1;
    raise(SIGSTOP);
    return 0;
}

static void a_queue_closed_under_a_reservation_is_sealed_when_its_holder_dies(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    int status;
    pid_t holder = start_at_queue(reserve_and_stay, queue, 8);
    assert_int_equal(waitpid(holder, &status, WUNTRACED), holder);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(mproc_queue_close(queue), 0);
    assert_int_equal(get_int(queue), -MPROC_TIMEOUT);
    pid_t getter = start_at_queue(get_until_closed, queue, 0);
    assert_int_equal(kill(holder, SIGKILL), 0);
    assert_int_equal(waitpid(holder, &status, 0), holder);
    assert_int_equal(waitpid(getter, &status, 0), getter);
    assert_int_equal(WEXITSTATUS(status), MPROC_CLOSED);
    assert_int_equal(put_int(queue, 2), MPROC_CLOSED);
    mproc_queue_free(queue);
}

static void closing_wakes_those_that_wait(void **state)
{
    (void)state;
    mproc_queue *empty = make_queue(0);
    mproc_queue *full = make_queue(1);
    assert_int_equal(put_int(full, 1), 0);
    pid_t getter = start_at_queue(get_until_closed, empty, 0);
    pid_t putter = start_at_queue(put_until_closed, full, 0);
    assert_true(wait_until(has_sleeper, &empty->messages, 10000) && wait_until(has_sleeper, &full->room, 10000));
    mproc_queue_close(empty);
    mproc_queue_close(full);
    assert_int_equal(finish_at_queue(getter), MPROC_CLOSED);
    assert_int_equal(finish_at_queue(putter), MPROC_CLOSED);
    mproc_queue_free(empty);
    mproc_queue_free(full);
}

static void join_waits_for_as_many_done_as_put(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    assert_int_equal(mproc_queue_join(queue, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_queue_task_done(queue), -EPERM);
    put_int(queue, 1);
    put_int(queue, 2);
    get_int(queue);
    get_int(queue);
    assert_int_equal(mproc_queue_join(queue, MPROC_MS(10)), MPROC_TIMEOUT);
    assert_int_equal(mproc_queue_task_done(queue), 0);
    assert_int_equal(mproc_queue_join(queue, MPROC_NOWAIT), MPROC_TIMEOUT);
    pid_t pid = fork();
    if (pid == 0)
        _exit(mproc_queue_task_done(queue));
    assert_int_equal(mproc_queue_join(queue, MPROC_SEC(20)), 0);
    assert_int_equal(finish_at_queue(pid), 0);
    assert_int_equal(mproc_queue_task_done(queue), -EPERM);
    mproc_queue_free(queue);
}

static void bad_input_is_refused(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    mproc_queue *none = (mproc_queue *)(void *)mproc_calloc(1, 8192);
    char buffer[8];
    void *data;
    const void *seen;
    size_t size;
    mproc_message message = {buffer, sizeof buffer};
    mproc_message nothing = {NULL, 4};
    assert_int_equal(mproc_queue_create(NULL, NULL), -EINVAL);
    mproc_queue *bad[] = {NULL, none};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mproc_queue_put(bad[i], buffer, 1, MPROC_NOWAIT), -EINVAL);
        assert_int_equal(mproc_queue_get(bad[i], buffer, 1, NULL, MPROC_NOWAIT), -EINVAL);
        assert_int_equal(mproc_queue_get_new(bad[i], &data, &size, MPROC_NOWAIT), -EINVAL);
        assert_int_equal(mproc_queue_put_many(bad[i], &message, 1, MPROC_NOWAIT), -EINVAL);
        assert_int_equal(mproc_queue_get_many(bad[i], &message, 1, &size, MPROC_NOWAIT), -EINVAL);
        assert_int_equal(mproc_queue_reserve(bad[i], &data, 1, MPROC_NOWAIT), -EINVAL);
        assert_int_equal(mproc_queue_commit(bad[i], 1), -EINVAL);
        assert_int_equal(mproc_queue_abandon(bad[i]), -EINVAL);
        assert_int_equal(mproc_queue_peek(bad[i], &seen, &size, MPROC_NOWAIT), -EINVAL);
        assert_int_equal(mproc_queue_release(bad[i], true), -EINVAL);
        assert_int_equal(mproc_queue_size(bad[i]), 0);
        assert_true(mproc_queue_empty(bad[i]));
        assert_false(mproc_queue_full(bad[i]));
        assert_int_equal(mproc_queue_task_done(bad[i]), -EINVAL);
        assert_int_equal(mproc_queue_join(bad[i], MPROC_NOWAIT), -EINVAL);
        assert_int_equal(mproc_queue_close(bad[i]), -EINVAL);
        assert_null(mproc_queue_free(bad[i]));
    }
    assert_int_equal(mproc_queue_put(queue, NULL, 1, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_put(queue, buffer, SIZE_MAX, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_put(queue, buffer, 1, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_queue_get(queue, NULL, 1, NULL, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_get(queue, buffer, 1, NULL, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_queue_get_new(queue, NULL, &size, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_put_many(queue, NULL, 1, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_put_many(queue, &message, 0, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_put_many(queue, &nothing, 1, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_get_many(queue, &message, 0, &size, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_get_many(queue, &message, 1, NULL, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_reserve(queue, NULL, 1, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_reserve(queue, &data, SIZE_MAX, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_peek(queue, NULL, &size, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_queue_put(queue, buffer, (size_t)1 << 46, MPROC_NOWAIT), -ENOMEM);
    assert_int_equal(mproc_queue_join(queue, MPROC_NS(-2)), -EINVAL);
    assert_true(mproc_queue_empty(queue));
    assert_int_equal(put_int(queue, 7), 0); /* nothing was changed */
    assert_int_equal(get_int(queue), 7);
    mproc_free(none);
    mproc_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(messages_come_out_in_order_whole_and_of_any_size),
        unit(rings_wrap_at_every_offset),
        unit(a_drained_queue_gives_its_memory_back),
        unit(a_very_large_message_gives_its_memory_back_when_it_is_got),
        unit(memory_for_large_messages_is_used_again_until_a_getter_sleeps_in_vain),
        unit(freeing_a_full_queue_frees_every_segment),
        unit(a_message_that_is_too_large_stays_and_its_size_is_told),
        unit(a_bounded_queue_is_full_at_its_bound),
        unit(batches_stay_together_and_come_out_in_order),
        unit(a_reserved_message_is_seen_only_when_committed),
        unit(a_closed_queue_takes_nothing_and_is_drained),
        unit(a_queue_closed_under_a_reservation_is_sealed_when_its_holder_dies),
        unit(closing_wakes_those_that_wait),
        unit(join_waits_for_as_many_done_as_put),
        unit(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
