/* mproc_array: elements in place and by copies, the lock, owners that die, and bad input. */
#include "children.h"
#include "containers.h"
#include "harness.h"
#include "pools.h"
#include <errno.h>
#include <mproc.h>
#include <string.h>

#define FOREVER MPROC_FOREVER

enum {
    COUNT_OF = 100
};

static mproc_array *make(void)
{
    mproc_array *array;
    assert_int_equal(mproc_array_create(&array, COUNT_OF, sizeof(long)), 0);
    return array;
}

static void elements_are_zero_and_keep_what_is_written(void **state)
{
    (void)state;
    size_t before = bytes_in_use();
    long out[3] = {1, 2, 3};
    long in[3];
    mproc_array *array = make();
    long *elements = mproc_array_data(array);
    assert_int_equal(mproc_array_count(array), COUNT_OF);
    assert_int_equal(mproc_array_element_size(array), sizeof(long));
    assert_int_equal((uintptr_t)elements % 64, 0);
    for (int i = 0; i < COUNT_OF; i++)
        assert_int_equal(elements[i], 0);
    assert_int_equal(mproc_array_write(array, 97, 3, out, FOREVER), 0);
    assert_int_equal(mproc_array_read(array, 97, 3, in, FOREVER), 0);
    assert_memory_equal(in, out, sizeof in);
    assert_int_equal(elements[99], 3);
    assert_int_equal(mproc_array_read(array, 98, 3, in, FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_array_write(array, 101, 0, out, FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_array_read(array, 100, 0, NULL, FOREVER), 0);
    mproc_array_free(array);
    assert_int_equal(bytes_in_use(), before);
}

static int add_to_all(void *arg)
{
    long *elements = mproc_array_data(arg);
    for (int round = 0; round < 500; round++) {
        if (mproc_array_lock(arg, MPROC_SEC(60)))
            return 1;
        for (int i = 0; i < COUNT_OF; i++)
            elements[i]++;
        if (mproc_array_unlock(arg))
            return 2;
    }
    return 0;
}

static void processes_and_threads_count_exactly(void **state)
{
    (void)state;
    mproc_array *array = make();
    children_run(add_to_all, array, 4);
    threads_run(add_to_all, array, 4);
    for (int i = 0; i < COUNT_OF; i++)
        assert_int_equal(((long *)mproc_array_data(array))[i], 8 * 500);
    mproc_array_free(array);
}

static int hold(void *arg)
{
    return mproc_array_lock(arg, FOREVER) ? 1 : 0; /* and dies with it */
}

static int try_read(void *arg)
{
    long one;
    return mproc_array_read(arg, 0, 1, &one, MPROC_MS(20));
}

static void the_holder_reads_and_others_wait(void **state)
{
    (void)state;
    mproc_array *array = make();
    assert_int_equal(mproc_array_lock(array, FOREVER), 0);
    assert_int_equal(try_read(array), 0);
    assert_int_equal(in_child(try_read, array), MPROC_TIMEOUT);
    assert_int_equal(mproc_array_unlock(array), 0);
    assert_int_equal(mproc_array_unlock(array), -EPERM);
    mproc_array_free(array);
}

static void a_dead_owner_is_told_of_once(void **state)
{
    (void)state;
    mproc_array *array = make();
    in_child(hold, array);
    assert_int_equal(mproc_array_lock(array, FOREVER), MPROC_OWNER_DIED);
    assert_int_equal(mproc_array_unlock(array), 0);
    in_child(hold, array);
    assert_int_equal(try_read(array), MPROC_OWNER_DIED);
    assert_int_equal(try_read(array), 0);
    mproc_array_free(array);
}

static int lock_it(void *arg)
{
    return mproc_array_lock(arg, MPROC_SEC(20));
}

static void a_thread_that_ended_with_the_lock_is_a_dead_owner(void **state)
{
    (void)state;
    mproc_array *array = make();
    long element;
    assert_int_equal(in_thread(lock_it, array), 0);
    assert_int_equal(mproc_array_lock(array, MPROC_SEC(5)), MPROC_OWNER_DIED);
    assert_int_equal(mproc_array_unlock(array), 0);
    assert_int_equal(in_thread(lock_it, array), 0);
    assert_int_equal(in_child(lock_it, array), MPROC_OWNER_DIED);
    assert_int_equal(mproc_array_read(array, 0, 1, &element, MPROC_SEC(5)), MPROC_OWNER_DIED);
    assert_int_equal(mproc_array_lock(array, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_array_unlock(array), 0);
    mproc_array_free(array);
}

static void bad_input_changes_nothing(void **state)
{
    (void)state;
    long one = 1;
    mproc_array *array = (void *)&one;
    assert_int_equal(mproc_array_create(NULL, 1, 1), -EINVAL);
    assert_int_equal(mproc_array_create(&array, 0, 1), -EINVAL);
    assert_null(array);
    assert_int_equal(mproc_array_create(&array, 1, 0), -EINVAL);
    assert_int_equal(mproc_array_create(&array, SIZE_MAX, 2), -ENOMEM);
    assert_int_equal(mproc_array_create(&array, SIZE_MAX / 2, 1), -ENOMEM);
    assert_int_equal(mproc_array_count(NULL), 0);
    assert_null(mproc_array_data(NULL));
    assert_int_equal(mproc_array_lock(NULL, FOREVER), -EINVAL);
    assert_int_equal(mproc_array_unlock(NULL), -EINVAL);
    assert_int_equal(mproc_array_read(NULL, 0, 1, &one, FOREVER), -EINVAL);
    array = make();
    assert_int_equal(mproc_array_read(array, 0, 1, NULL, FOREVER), -EINVAL);
    assert_int_equal(mproc_array_write(array, 0, 1, &one, MPROC_NS(-2)), -EINVAL);
    mproc_array_free(array);
    assert_int_equal(mproc_array_count(array), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(elements_are_zero_and_keep_what_is_written),
        unit(processes_and_threads_count_exactly),
        unit(the_holder_reads_and_others_wait),
        unit(a_dead_owner_is_told_of_once),
        unit(a_thread_that_ended_with_the_lock_is_a_dead_owner),
        unit(bad_input_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
