/* Each system call of the arena, the heap and the queue fails once in turn: the error is returned, nothing has changed,
 * and the same call works afterwards. */
#include "arena/heap.h"
#include "arena/ledger.h"
#include "arena/member.h"
#include "harness.h"
#include "plan.h"
#include <errno.h>
#include <mproc/memory.h>
#include <mproc/queue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int become_first_member(void *arg)
{
    (void)arg;
    pid_t pid = fork();
    if (pid == 0) {
        if (region.base)
            munmap(region.base, region.size);
        region = (struct region){.fd = -1, .bell = -1};
        _exit(member_join() == 0 ? 0 : member_join() == 0 ? 1 : 2);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* 0: joined; 1: the fault was told, and it worked the second time. */
static void joined_or_told_why(void *arg, int result, const struct fault *fault)
{
    (void)arg;
    assert_in_range(result, 0, fault != NULL);
}

static void a_family_begins_or_tells_why_not(void **state)
{
    (void)state;
    assert_true(fault_walk(become_first_member, joined_or_told_why, NULL) > 5);
}

static size_t block_size;

static int take_and_give(void *arg)
{
    (void)arg;
    unsigned char *block = mproc_calloc(1, block_size);
    if (!block)
        return -errno;
    for (size_t i = 0; i < block_size; i += 4096)
        block[i] = 1;
    return mproc_free(block);
}

static void heap_is_whole(void *arg, int result, const struct fault *fault)
{
    (void)arg;
    assert_null(heap_audit());
    if (fault && fault->call == OS_FALLOCATE && result)
        assert_int_equal(result, -ENOMEM);
    else
        assert_int_equal(result, 0);
}

static void memory_is_taken_whole_or_not_at_all(void **state)
{
    (void)state;
    const size_t sizes[] = {100, 9000, 70000, 3 << 20, 40 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        block_size = sizes[i];
        fault_walk(take_and_give, heap_is_whole, NULL);
    }
}

/* A child that dies with a block of a megabyte in custody. */
static void leave_memory_of_the_dead(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        void *block = mproc_alloc(1 << 20);
        atomic_store(&ledger_at(member_slot(member_self()))->custody[0].block, (uintptr_t)block);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void where_there_is_no_room_the_dead_are_swept_first(void **state)
{
    (void)state;
    member_sweep_all();
    fault_arm(OS_FALLOCATE, 0, ENOSPC);
    assert_null(mproc_alloc(40 << 20)); /* nobody is dead */
    assert_int_equal(errno, ENOMEM);
    leave_memory_of_the_dead();
    fault_arm(OS_FALLOCATE, 0, ENOSPC);
    void *block = mproc_alloc(40 << 20);
    fault_disarm();
    assert_non_null(block);
    assert_int_equal(mproc_free(block), 0);
}

static int reallocate(void *arg)
{
    (void)arg;
    char *block = mproc_alloc(3 << 20);
    if (!block)
        return -errno;
    block[0] = 'a';
    const size_t sizes[] = {5 << 20, 100000, 200000, 50};
    int result = 0;
    for (size_t i = 0; i < 4; i++) {
        char *moved = mproc_realloc(block, sizes[i]);
        result = moved ? result : -errno;
        block = moved ? moved : block;
        assert_int_equal(block[0], 'a');
    }
    assert_int_equal(mproc_free(block), 0);
    return result;
}

static void a_failed_realloc_leaves_the_block(void **state)
{
    (void)state;
    assert_true(fault_walk(reallocate, heap_is_whole, NULL) > 0);
}

static int fill_and_drain(void *arg)
{
    (void)arg;
    static char message[40000];
    mproc_queue *queue;
    int result = mproc_queue_create(&queue, NULL);
    if (result)
        return result;
    size_t put = 0;
    for (int i = 0; i < 30; i++) {
        memset(message, i, sizeof message);
        int failed = mproc_queue_put(queue, message, sizeof message, MPROC_NOWAIT);
        result = failed ? failed : result;
        put += !failed;
    }
    assert_int_equal(mproc_queue_size(queue), put);
    for (size_t i = 0; i < put; i++)
        assert_int_equal(mproc_queue_get(queue, message, sizeof message, NULL, MPROC_NOWAIT), 0);
    assert_true(mproc_queue_empty(queue));
    mproc_queue_free(queue);
    return result;
}

static void a_queue_that_cannot_grow_keeps_what_it_has(void **state)
{
    (void)state;
    assert_true(fault_walk(fill_and_drain, heap_is_whole, NULL) > 0);
}

static int get_copy(void *arg)
{
    mproc_queue *queue = arg;
    void *data = NULL;
    size_t size;
    assert_int_equal(mproc_queue_put(queue, "text", 5, MPROC_NOWAIT), 0);
    int result = mproc_queue_get_new(queue, &data, &size, MPROC_NOWAIT);
    if (result) {
        assert_int_equal(mproc_queue_size(queue), 1);
        assert_int_equal(mproc_queue_get_new(queue, &data, &size, MPROC_NOWAIT), 0);
    }
    assert_string_equal(data, "text");
    free(data);
    return result;
}

static void no_memory_is_told(void *arg, int result, const struct fault *fault)
{
    (void)arg;
    assert_int_equal(result, fault && fault->call == OS_MALLOC ? -ENOMEM : 0);
}

static void a_message_stays_when_there_is_no_memory_for_its_copy(void **state)
{
    (void)state;
    mproc_queue *queue;
    assert_int_equal(mproc_queue_create(&queue, NULL), 0);
    books_forgive();
    assert_true(fault_walk(get_copy, no_memory_is_told, queue) > 0);
    mproc_queue_free(queue);
    books_forgive();
}

static int wait_a_moment(void *arg)
{
    char message;
    return mproc_queue_get(arg, &message, 1, NULL, MPROC_MS(2)) - MPROC_TIMEOUT;
}

static void waited(void *arg, int result, const struct fault *fault)
{
    (void)arg;
    (void)fault;
    assert_int_equal(result, 0);
}

static void a_wait_that_is_interrupted_goes_on(void **state)
{
    (void)state;
    mproc_queue *queue;
    assert_int_equal(mproc_queue_create(&queue, NULL), 0);
    books_forgive();
    assert_true(fault_walk(wait_a_moment, waited, queue) > 0);
    mproc_queue_free(queue);
    books_forgive();
}

static void uncontended_use_makes_no_system_call(void **state)
{
    (void)state;
    mproc_queue *queue;
    char message[64] = "";
    assert_int_equal(mproc_queue_create(&queue, NULL), 0);
    fault_reset();
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(mproc_queue_put(queue, message, sizeof message, MPROC_FOREVER), 0);
        assert_int_equal(mproc_queue_get(queue, message, sizeof message, NULL, MPROC_NOWAIT), 0);
        mproc_free(mproc_alloc(64));
    }
    for (int call = 0; call < OS_CALL_COUNT; call++)
        assert_true(fault_count(call) <= (call == OS_FALLOCATE)); /* the first block may need a span */
    mproc_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_family_begins_or_tells_why_not),
        unit(memory_is_taken_whole_or_not_at_all),
        unit(where_there_is_no_room_the_dead_are_swept_first),
        unit(a_failed_realloc_leaves_the_block),
        unit(a_queue_that_cannot_grow_keeps_what_it_has),
        unit(a_message_stays_when_there_is_no_memory_for_its_copy),
        unit(a_wait_that_is_interrupted_goes_on),
        unit(uncontended_use_makes_no_system_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
