/* Queues between many processes: order and exactness, and deaths at any moment. */
#include "arena/heap.h"
#include "arena/member.h"
#include "harness.h"
#include "os/cpu.h"
#include "queues.h"

#include <errno.h>
#include <mproc/memory.h>
#include <mproc/queue.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* ---- several processes ---- */

struct wait_note {
    int producer;
    int number;
    unsigned char filling[240];
};

enum {
    EACH = 20000
};

static size_t note_size(int number)
{
    return offsetof(struct wait_note, filling) + (size_t)number % 240;
}

static int produce(mproc_queue *queue, int producer)
{
    struct wait_note note = {.producer = producer};
    for (note.number = 0; note.number < EACH; note.number++) {
        memset(note.filling, note.number, sizeof note.filling);
        if (mproc_queue_put(queue, &note, note_size(note.number), MPROC_SEC(60)))
            return 1;
    }
    return 0;
}

/* Get count notes, or until closed, and check each and their order by producer. The counts go to seen. */
static int consume(mproc_queue *queue, int count, _Atomic(int) *seen)
{
    int last[16];
    memset(last, 0xff, sizeof last);
    for (int i = 0; i < count; i++) {
        struct wait_note note;
        size_t size;
        int result = mproc_queue_get(queue, &note, sizeof note, &size, MPROC_SEC(60));
        if (result == MPROC_CLOSED)
            return 0;
        if (result || size != note_size(note.number) || note.number <= last[note.producer])
            return 1;
        for (size_t at = 0; at < size - offsetof(struct wait_note, filling); at++) {
            if (note.filling[at] != (unsigned char)note.number)
                return 2;
        }
        last[note.producer] = note.number;
        atomic_fetch_add(&seen[note.producer], 1);
    }
    return 0;
}

static _Atomic(int) *counts;

static int consume_all(mproc_queue *queue, int number)
{
    (void)number;
    return consume(queue, INT32_MAX, counts);
}

static void every_message_arrives_once(size_t maxsize)
{
    mproc_queue *queue = make_queue(maxsize);
    counts = mproc_calloc(16, sizeof *counts);
    pid_t producers[4];
    pid_t consumers[4];
    for (int i = 0; i < 4; i++) {
        consumers[i] = start_at_queue(consume_all, queue, i);
        producers[i] = start_at_queue(produce, queue, i);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(finish_at_queue(producers[i]), 0);
    mproc_queue_close(queue);
    for (int i = 0; i < 4; i++)
        assert_int_equal(finish_at_queue(consumers[i]), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(counts[i], EACH);
    assert_true(mproc_queue_empty(queue));
    mproc_free(counts);
    mproc_queue_free(queue);
}

static void four_producers_and_four_consumers_lose_nothing(void **state)
{
    (void)state;
    every_message_arrives_once(0);
}

static void a_bounded_queue_loses_nothing(void **state)
{
    (void)state;
    every_message_arrives_once(5);
}

static void *produce_in_thread(void *queue)
{
    return (void *)(intptr_t)produce(queue, 0);
}

enum {
    LARGE_MESSAGES = 24,
    LARGEST = (1 << 20) + 77
};

/* They stand on both sides of the size from which on the CPUs count. */
static size_t large_size(int number)
{
    return number % 3 == 0 ? LARGEST : number % 3 == 1 ? (size_t)512 << 10 : ((size_t)512 << 10) - 1;
}

static int consume_large(mproc_queue *queue, int cpu)
{
    static unsigned char message[LARGEST], expected[LARGEST];
    if (os_cpu_pin((unsigned)cpu))
        return 3;
    for (int i = 0; i < LARGE_MESSAGES; i++) {
        size_t size;
        if (mproc_queue_get(queue, message, sizeof message, &size, MPROC_SEC(60)) || size != large_size(i))
            return 1;
        memset(expected, i + 1, size);
        if (memcmp(message, expected, size) != 0)
            return 2;
    }
    return 0;
}

static int put_large(mproc_queue *queue, int cpu)
{
    static unsigned char message[LARGEST];
    if (os_cpu_pin((unsigned)cpu))
        return 3;
    for (int i = 0; i < LARGE_MESSAGES; i++) {
        memset(message, i + 1, large_size(i));
        if (mproc_queue_put(queue, message, large_size(i), MPROC_SEC(60)))
            return 1;
    }
    return 0;
}

/* Where there are two CPUs, the second getter has its own. */
static void large_messages_are_whole_on_the_same_cpu_and_on_another(void **state)
{
    (void)state;
    for (int getter = 0; getter < 2; getter++) {
        mproc_queue *queue = make_queue(3);
        pid_t consumer = start_at_queue(consume_large, queue, getter);
        pid_t producer = start_at_queue(put_large, queue, 0);
        assert_int_equal(finish_at_queue(producer), 0);
        assert_int_equal(finish_at_queue(consumer), 0);
        mproc_queue_free(queue);
    }
}

static void threads_may_share_a_queue(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(100);
    counts = mproc_calloc(16, sizeof *counts);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, produce_in_thread, queue), 0);
    assert_int_equal(consume(queue, EACH, counts), 0);
    void *result;
    pthread_join(thread, &result);
    assert_null(result);
    mproc_free(counts);
    mproc_queue_free(queue);
}

/* ---- deaths ---- */

static int die_with_a_reservation(mproc_queue *queue, int size)
{
    void *data;
    if (mproc_queue_reserve(queue, &data, (size_t)size, MPROC_SEC(20)))
        return 1;
    raise(SIGKILL);
    return 2;
}

static int die_with_a_peek(mproc_queue *queue, int number)
{
    (void)number;
    const void *data;
    size_t size;
    if (mproc_queue_peek(queue, &data, &size, MPROC_SEC(20)))
        return 1;
    raise(SIGKILL);
    return 2;
}

static void a_death_between_reserve_and_commit_puts_nothing(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    const int sizes[] = {10, 100000, 3000000};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(finish_at_queue(start_at_queue(die_with_a_reservation, queue, sizes[i])), -SIGKILL);
        assert_true(mproc_queue_empty(queue));
        assert_int_equal(mproc_queue_put(queue, &i, sizeof i, MPROC_SEC(20)), 0);
        assert_int_equal(get_int(queue), i);
    }
    mproc_queue_free(queue);
    member_sweep_all();
}

static void a_death_between_peek_and_release_takes_nothing(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    put_int(queue, 5);
    assert_int_equal(finish_at_queue(start_at_queue(die_with_a_peek, queue, 0)), -SIGKILL);
    int value;
    assert_int_equal(mproc_queue_get(queue, &value, sizeof value, NULL, MPROC_SEC(20)), 0);
    assert_int_equal(value, 5);
    mproc_queue_free(queue);
}

static int put_for_ever(mproc_queue *queue, int producer)
{
    struct wait_note note = {.producer = producer};
    for (note.number = 0;; note.number++) {
        memset(note.filling, note.number, sizeof note.filling);
        mproc_message three[3] = {{&note, note_size(note.number)}, {&note, 8}, {&note, 9}};
        if (note.number % 7 == 0 ? mproc_queue_put_many(queue, three, 1, MPROC_FOREVER)
                                 : mproc_queue_put(queue, &note, note_size(note.number), MPROC_FOREVER))
            return 1;
    }
}

static int get_for_ever(mproc_queue *queue, int number)
{
    for (;;) {
        struct wait_note note;
        mproc_message message = {&note, sizeof note};
        size_t got;
        int result = number % 2 ? mproc_queue_get_many(queue, &message, 1, &got, MPROC_FOREVER)
                                : mproc_queue_get(queue, &note, sizeof note, NULL, MPROC_FOREVER);
        if (result)
            return 1;
    }
}

static void survivors_go_on_after_any_kill(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(1000);
    counts = mproc_calloc(16, sizeof *counts);
    unsigned seed = 7;
    for (int kills = 0; kills < 150; kills++) {
        pid_t producer = start_at_queue(put_for_ever, queue, kills % 16);
        pid_t consumer = start_at_queue(get_for_ever, queue, kills);
        seed = seed * 1664525u + 1013904223u;
        usleep(300 + (seed >> 8) % 3000);
        kill(producer, SIGKILL);
        kill(consumer, SIGKILL);
        assert_int_equal(finish_at_queue(producer), -SIGKILL);
        assert_int_equal(finish_at_queue(consumer), -SIGKILL);
        size_t left = mproc_queue_size(queue);
        assert_true(left <= 1000);
        struct wait_note note;
        size_t size;
        for (size_t i = 0; i < left; i++) {
            assert_int_equal(mproc_queue_get(queue, &note, sizeof note, &size, MPROC_SEC(5)), 0);
            assert_int_equal(size, note_size(note.number));
            for (size_t at = 0; at < size - offsetof(struct wait_note, filling); at++)
                assert_int_equal(note.filling[at], (unsigned char)note.number);
        }
        assert_true(mproc_queue_empty(queue));
        assert_int_equal(put_int(queue, kills), 0);
        assert_int_equal(get_int(queue), kills);
    }
    mproc_free(counts);
    mproc_queue_free(queue);
    member_sweep_all();
    assert_null(heap_audit());
}

static int die_with_a_message(mproc_queue *queue, int number)
{
    (void)number;
    int value;
    if (mproc_queue_get(queue, &value, sizeof value, NULL, MPROC_SEC(20)))
        return 1;
    return raise(SIGKILL);
}

static void a_join_ends_when_the_message_of_a_dead_consumer_is_given_up(void **state)
{
    (void)state;
    mproc_queue *queue = make_queue(0);
    assert_int_equal(put_int(queue, 1), 0);
    assert_int_equal(put_int(queue, 2), 0);
    assert_int_equal(finish_at_queue(start_at_queue(die_with_a_message, queue, 0)), -SIGKILL);
    assert_int_equal(get_int(queue), 2);
    assert_int_equal(mproc_queue_task_done(queue), 0);
    assert_int_equal(mproc_queue_join(queue, MPROC_MS(300)), MPROC_TIMEOUT);
    assert_int_equal(mproc_queue_task_done(queue), 0); /* for the one that died */
    assert_int_equal(mproc_queue_join(queue, MPROC_SEC(20)), 0);
    assert_int_equal(mproc_queue_task_done(queue), -EPERM);
    mproc_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(four_producers_and_four_consumers_lose_nothing),
        unit(a_bounded_queue_loses_nothing),
        unit(large_messages_are_whole_on_the_same_cpu_and_on_another),
        unit(threads_may_share_a_queue),
        unit(a_death_between_reserve_and_commit_puts_nothing),
        unit(a_death_between_peek_and_release_takes_nothing),
        unit(a_join_ends_when_the_message_of_a_dead_consumer_is_given_up),
        unit(survivors_go_on_after_any_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
