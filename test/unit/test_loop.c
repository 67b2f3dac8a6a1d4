/* The loop over items, in its place and as a copy beside a task that is far. */
#include "harness.h"

#include "os/code.h"
#include "os/stack.h"
#include "pool/worker/loop.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum {
    ITEMS = 100
};

static long in[ITEMS], out[ITEMS];
static _Atomic(uint64_t) current;
static _Atomic(uint32_t) flags;

/* A task that can be copied: it calls nothing and refers to nothing. */
__attribute__((noinline, no_sanitize("address", "undefined", "thread"))) static int add_ctx(void *ctx, const void *item,
                                                                                            void *result)
{
    long x = *(const long *)item;
    if (x < 0)
        return 7;
    *(long *)result = x + (long)ctx;
    return 0;
}

static int stop_at_50(void *ctx, const void *item, void *result)
{
    (void)ctx;
    (void)result;
    if (*(const long *)item == 50)
        atomic_store(&flags, 1);
    return 0;
}

static struct loop begin(mproc_task *task)
{
    for (long i = 0; i < ITEMS; i++)
        in[i] = i;
    memset(out, 0, sizeof out);
    atomic_store(&flags, 0);
    return (struct loop){.mark = 1,
                         .end_mark = ITEMS * 2 + 1,
                         .in = (uintptr_t)in,
                         .out = (uintptr_t)out,
                         .in_size = sizeof *in,
                         .out_size = sizeof *out,
                         .task = task,
                         .ctx = (void *)1000,
                         .current = &current,
                         .flags = &flags};
}

static void must_run(loop_function *run, mproc_task *task)
{
    struct loop loop = begin(task);
    in[60] = -1;
    assert_int_equal(run(&loop), 7);
    assert_int_equal(loop.mark, 61 * 2 + 1); /* the one behind the failure is next */
    assert_int_equal(atomic_load(&current), 60 * 2 + 1);
    assert_int_equal(run(&loop), 0);
    assert_int_equal(loop.mark, loop.end_mark);
    for (long i = 0; i < ITEMS; i++)
        assert_int_equal(out[i], i == 60 ? 0 : i + 1000);
}

static void each_item_is_run_until_one_fails(void **state)
{
    (void)state;
    must_run(loop_run, add_ctx);
}

static void no_item_is_begun_once_it_is_stopped(void **state)
{
    (void)state;
    struct loop loop = begin(stop_at_50);
    assert_int_equal(loop_run(&loop), 0);
    assert_int_equal(loop.mark, 51 * 2 + 1);
}

/* Somewhere among the libraries, more than 2 GiB from this program. */
static mproc_task *far_task(void **page)
{
    assert_int_equal(os_code_copy((const void *)puts, (const void *)add_ctx, 256, page), 0);
    return (mproc_task *)*page;
}

static void a_far_task_has_a_loop_beside_it(void **state)
{
    (void)state;
    void *page;
    mproc_task *task = far_task(&page);
    loop_function *run = loop_for(task);
    must_run(run, task);
    assert_ptr_equal(loop_for(task), run); /* made once */
    assert_ptr_equal(loop_for(add_ctx), loop_run);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
    uintptr_t distance = (uintptr_t)run - (uintptr_t)task;
    assert_true((distance < -distance ? distance : -distance) < (uintptr_t)2 << 30);
#endif
    os_code_free(page);
}

static bool count(const struct os_stack_call *call, void *arg)
{
    (void)call;
    ++*(int *)arg;
    return true;
}

static int count_calls(void *ctx, const void *item, void *result)
{
    int calls = 0;
    (void)item;
    (void)result;
    os_stack_walk(count, &calls);
    *(int *)ctx = calls;
    return 1;
}

static __attribute__((noinline)) int calls_in(loop_function *run)
{
    int calls = 0;
    struct loop loop = begin(count_calls);
    loop.ctx = &calls;
    assert_int_equal(run(&loop), 1);
    return calls;
}

static void the_stack_of_a_task_in_a_copy_is_whole(void **state)
{
    (void)state;
    void *page;
    loop_function *copy = loop_for(far_task(&page));
    int calls = calls_in(loop_run);
    assert_true(calls > 3);
    assert_int_equal(calls_in(copy), calls);
    os_code_free(page);
}

static void code_is_copied_where_there_is_room(void **state)
{
    (void)state;
    void *first, *second;
    assert_int_equal(os_code_copy((const void *)puts, (const void *)add_ctx, 256, &first), 0);
    assert_int_equal(os_code_copy((const void *)puts, (const void *)add_ctx, 256, &second), 0);
    assert_ptr_not_equal(first, second);
    long x = 1, y = 0;
    assert_int_equal(((mproc_task *)second)((void *)5, &x, &y), 0);
    assert_int_equal(y, 6);
    assert_int_equal(os_code_copy((const void *)puts, (const void *)add_ctx, 5000, &first), -ENOMEM);
    os_code_free(first);
    os_code_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(each_item_is_run_until_one_fails),   unit(no_item_is_begun_once_it_is_stopped),
        unit(a_far_task_has_a_loop_beside_it),    unit(the_stack_of_a_task_in_a_copy_is_whole),
        unit(code_is_copied_where_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
