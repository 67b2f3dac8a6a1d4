/* Values and objects as lines of text. */
#include "children.h"
#include "harness.h"
#include "managers.h"

#include <errno.h>
#include <mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_SIZE = 16000
};

static int ends[2];

static void assert_line(const char *line)
{
    static char text[LINE_SIZE];
    ssize_t size = read(ends[0], text, sizeof text - 1);
    assert_true(size > 0);
    text[size] = '\0';
    assert_int_equal(text[size - 1], '\n');
    text[size - 1] = '\0';
    assert_string_equal(text, line);
}

static void assert_printed(void *object, const char *line)
{
    assert_int_equal(mproc_object_print(ends[1], object, MPROC_SEC(60)), 0);
    assert_line(line);
}

/* As "<KIND at 0x...: STATE>". */
static void assert_described(void *object, const char *kind, const char *state)
{
    char line[200];
    snprintf(line, sizeof line, "<%s at %p: %s>", kind, object, state);
    assert_printed(object, line);
}

static void values_are_printed(void **state)
{
    (void)state;
    assert_int_equal(mproc_value_print(ends[1], mproc_list_of(MPROC_ITEMS(mproc_int(1), mproc_string("a")))), 0);
    assert_line("[1, 'a']");
    assert_int_equal(mproc_value_print(-1, mproc_int(1)), -EBADF);
    int gone[2];
    assert_int_equal(pipe(gone), 0);
    close(gone[0]); /* nobody reads any more: an error, and no signal */
    assert_int_equal(mproc_value_print(gone[1], mproc_int(1)), -EPIPE);
    close(gone[1]);
}

static void what_is_in_a_container_is_printed(void **state)
{
    mproc_list *list;
    mproc_dict *dict;
    mproc_set *set, *empty;
    mproc_namespace *namespace;
    mproc_variable *variable;
    (void)state;
    assert_int_equal(mproc_list_create_of(&list, mproc_list_of(MPROC_ITEMS(mproc_int(1), mproc_nil()))), 0);
    assert_printed(list, "[1, None]");
    assert_int_equal(mproc_dict_create_of(&dict, mproc_dict_of(MPROC_PAIRS({mproc_int(1), mproc_string("a")}))), 0);
    assert_printed(dict, "{1: 'a'}");
    assert_int_equal(mproc_set_create_of(&set, mproc_list_of(MPROC_ITEMS(mproc_int(2), mproc_int(3)))), 0);
    assert_printed(set, "{2, 3}");
    assert_int_equal(mproc_set_create(&empty), 0);
    assert_printed(empty, "set()");
    assert_int_equal(mproc_namespace_create(&namespace), 0);
    assert_int_equal(mproc_namespace_set(namespace, "x", mproc_int(7), MPROC_FOREVER), 0);
    assert_printed(namespace, "{'x': 7}");
    assert_int_equal(mproc_variable_create(&variable, mproc_double(0.5)), 0);
    assert_printed(variable, "0.5");
    mproc_variable_free(variable);
    mproc_namespace_free(namespace);
    mproc_set_free(empty);
    mproc_set_free(set);
    mproc_dict_free(dict);
    mproc_list_free(list);
}

static void elements_of_an_array_are_printed_up_to_a_hundred(void **state)
{
    mproc_array *words, *triples, *large;
    (void)state;
    assert_int_equal(mproc_array_create(&words, 3, sizeof(int)), 0);
    int *word = mproc_array_data(words);
    word[0] = 1;
    word[2] = -1;
    assert_printed(words, "[0x1, 0x0, 0xffffffff]");
    assert_int_equal(mproc_array_create(&triples, 2, 3), 0);
    memcpy(mproc_array_data(triples), "abcd", 4);
    assert_printed(triples, "[b'abc', b'd\\x00\\x00']");
    assert_int_equal(mproc_array_create(&large, 101, 33), 0);
    assert_int_equal(mproc_object_print(ends[1], large, MPROC_NOWAIT), 0);
    static char text[LINE_SIZE];
    ssize_t size = read(ends[0], text, sizeof text - 1);
    assert_int_equal(size, 1 + 100 * (3 + 32 * 4 + 3 + 2) + 4 + 1); /* [b'...'..., ...]\n */
    text[size] = '\0';
    assert_string_equal(text + size - 15, "\\x00'..., ...]\n");
    mproc_array_free(large);
    mproc_array_free(triples);
    mproc_array_free(words);
}

static int die_with_array(void *array)
{
    return mproc_array_lock(array, MPROC_FOREVER);
}

static void a_look_at_an_array_waits_for_nobody_and_leaves_the_word_of_a_death(void **state)
{
    mproc_array *array;
    (void)state;
    assert_int_equal(mproc_array_create(&array, 1, 1), 0);
    assert_int_equal(in_child(die_with_array, array), 0);
    assert_int_equal(mproc_object_print(ends[1], array, MPROC_NOWAIT), 0);
    assert_line("[0x0]");
    assert_int_equal(mproc_array_lock(array, MPROC_SEC(60)), MPROC_OWNER_DIED);
    assert_int_equal(mproc_array_unlock(array), 0);
    mproc_array_free(array);
}

static void containers_in_containers_are_printed_as_what_is_in_them(void **state)
{
    mproc_list *inner;
    mproc_array *array;
    mproc_dict *outer;
    char line[200];
    (void)state;
    assert_int_equal(mproc_list_create_of(&inner, mproc_list_of(MPROC_ITEMS(mproc_int(1), mproc_int(2)))), 0);
    assert_int_equal(mproc_array_create(&array, 1, 2), 0);
    assert_int_equal(mproc_dict_create_of(
                         &outer, mproc_dict_of(MPROC_PAIRS(
                                     {mproc_string("list"), mproc_object_value(inner)},
                                     {mproc_string("again"), mproc_object_value(inner)},
                                     {mproc_string("deep"), mproc_list_of(MPROC_ITEMS(mproc_object_value(array)))}))),
                     0);
    assert_printed(outer, "{'list': [1, 2], 'again': [1, 2], 'deep': [[0x0]]}");
    mproc_array_free(array);
    snprintf(line, sizeof line, "{'list': [1, 2], 'again': [1, 2], 'deep': [<array object at %p>]}", (void *)array);
    assert_printed(outer, line);
    mproc_dict_free(outer);
    mproc_list_free(inner);
}

static void a_circle_is_printed_as_dots(void **state)
{
    mproc_list *list;
    mproc_dict *dict;
    mproc_variable *itself;
    (void)state;
    assert_int_equal(mproc_list_create(&list), 0);
    assert_int_equal(mproc_dict_create_of(&dict, mproc_dict_of(MPROC_PAIRS({mproc_int(1), mproc_object_value(list)}))),
                     0);
    assert_int_equal(mproc_list_append(list, mproc_object_value(dict), MPROC_FOREVER), 0);
    assert_int_equal(mproc_list_append(list, mproc_object_value(list), MPROC_FOREVER), 0);
    assert_printed(list, "[{1: ...}, ...]");
    assert_printed(dict, "{1: [..., ...]}");
    assert_int_equal(mproc_variable_create(&itself, mproc_nil()), 0);
    assert_int_equal(mproc_variable_set(itself, mproc_object_value(itself), MPROC_FOREVER), 0);
    assert_printed(itself, "...");
    mproc_variable_free(itself);
    mproc_dict_free(dict);
    mproc_list_free(list);
}

/* Each has the one before it so many times. */
static void assert_tower(size_t height, size_t times, size_t size)
{
    static char text[LINE_SIZE];
    mproc_list *lists[40];
    for (size_t i = 0; i < height; i++) {
        assert_int_equal(mproc_list_create(&lists[i]), 0);
        for (size_t k = 0; i > 0 && k < times; k++)
            assert_int_equal(mproc_list_append(lists[i], mproc_object_value(lists[i - 1]), MPROC_FOREVER), 0);
    }
    assert_int_equal(mproc_object_print(ends[1], lists[height - 1], MPROC_SEC(60)), 0);
    ssize_t got = read(ends[0], text, sizeof text - 1);
    assert_true(got > 0);
    text[got] = '\0';
    if (size)
        assert_int_equal(got, size);
    assert_non_null(strstr(text, "..."));
    for (size_t i = 0; i < height; i++)
        mproc_list_free(lists[i]);
}

static void depth_and_number_of_containers_are_limited(void **state)
{
    (void)state;
    assert_tower(17, 1, 16 + 3 + 16 + 1);
    assert_tower(16, 8, 0);
}

static int hold_twice(void *lock)
{
    int result = mproc_rlock_acquire(lock, MPROC_FOREVER);
    return result ? result : mproc_rlock_acquire(lock, MPROC_FOREVER);
}

static void objects_of_sync_are_printed_as_they_stand(void **state)
{
    struct all {
        mproc_lock lock;
        mproc_rlock rlock;
        mproc_semaphore semaphore;
        mproc_event event;
        mproc_condition condition;
        mproc_barrier barrier;
    } *all = mproc_calloc(1, sizeof *all);
    char held[80];
    (void)state;
    assert_non_null(all);
    assert_int_equal(mproc_object_print(ends[1], &all->lock, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_lock_init(&all->lock), 0);
    assert_described(&all->lock, "lock", "free");
    assert_int_equal(mproc_lock_acquire(&all->lock, MPROC_FOREVER), 0);
    snprintf(held, sizeof held, "held by process %d", (int)getpid());
    assert_described(&all->lock, "lock", held);
    assert_int_equal(mproc_rlock_init(&all->rlock), 0);
    assert_described(&all->rlock, "rlock", "free");
    assert_int_equal(hold_twice(&all->rlock), 0);
    snprintf(held, sizeof held, "held by process %d, 2 times", (int)getpid());
    assert_described(&all->rlock, "rlock", held);
    mproc_rlock_release(&all->rlock);
    mproc_rlock_release(&all->rlock);
    assert_int_equal(in_child(hold_twice, &all->rlock), 0);
    assert_described(&all->rlock, "rlock", "its owner died");
    assert_int_equal(mproc_semaphore_init(&all->semaphore, 3, 0), 0);
    assert_described(&all->semaphore, "semaphore", "3 free");
    assert_int_equal(mproc_event_init(&all->event), 0);
    assert_described(&all->event, "event", "not set");
    mproc_event_set(&all->event);
    assert_described(&all->event, "event", "set");
    assert_int_equal(mproc_condition_init(&all->condition), 0);
    assert_described(&all->condition, "condition", "nobody waits");
    assert_int_equal(mproc_barrier_init(&all->barrier, 3, NULL, NULL), 0);
    assert_described(&all->barrier, "barrier", "0 of 3 wait");
    mproc_barrier_abort(&all->barrier);
    assert_described(&all->barrier, "barrier", "broken, of 3");
    mproc_free(all);
}

static void queues_are_printed_with_size_bound_and_whether_they_are_closed(void **state)
{
    mproc_queue *queue, *bounded;
    (void)state;
    assert_int_equal(mproc_queue_create(&queue, NULL), 0);
    assert_described(queue, "queue", "0 messages");
    assert_int_equal(mproc_queue_create(&bounded, &(mproc_queue_options){.maxsize = 10}), 0);
    assert_int_equal(mproc_queue_put(bounded, "x", 1, MPROC_FOREVER), 0);
    assert_described(bounded, "queue", "1 message, at most 10");
    assert_int_equal(mproc_queue_close(bounded), 0);
    assert_described(bounded, "queue", "1 message, at most 10, closed");
    mproc_queue_free(bounded);
    mproc_queue_free(queue);
}

static void anything_else_is_refused(void **state)
{
    char local[64] = "";
    void *block = mproc_calloc(1, 64);
    (void)state;
    assert_int_equal(mproc_object_print(ends[1], NULL, MPROC_SEC(5)), -EINVAL);
    assert_int_equal(mproc_object_print(ends[1], local, MPROC_SEC(5)), -EINVAL);
    assert_int_equal(mproc_object_print(ends[1], block, MPROC_SEC(5)), -EINVAL);
    assert_int_equal(mproc_object_print(ends[1], (char *)block + 1, MPROC_SEC(5)), -EINVAL);
    mproc_free(block);
}

static void proxies_are_printed_as_what_is_in_the_server(void **state)
{
    mproc_manager *manager = make_manager("unix:", NULL);
    mproc_list *list, *inner;
    mproc_array *array;
    (void)state;
    assert_int_equal(mproc_manager_list(manager, &list, NULL, SOON), 0);
    assert_int_equal(mproc_manager_list(manager, &inner, NULL, SOON), 0);
    assert_int_equal(mproc_list_append(inner, mproc_int(5), SOON), 0);
    assert_int_equal(mproc_list_append(list, mproc_object_value(inner), SOON), 0);
    assert_printed(list, "[[5]]");
    assert_int_equal(mproc_manager_array(manager, &array, NULL, 2, 1, SOON), 0);
    assert_printed(array, "[0x0, 0x0]");
    mproc_array_free(array);
    mproc_list_free(inner);
    mproc_list_free(list);
    mproc_manager_free(manager);
}

static int open_ends(void **state)
{
    return pipe(ends) || make_first_manager(state) ? -1 : 0;
}

static int close_ends(void **state)
{
    (void)state;
    return close(ends[0]) || close(ends[1]) ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(values_are_printed),
        unit(what_is_in_a_container_is_printed),
        unit(elements_of_an_array_are_printed_up_to_a_hundred),
        unit(a_look_at_an_array_waits_for_nobody_and_leaves_the_word_of_a_death),
        unit(containers_in_containers_are_printed_as_what_is_in_them),
        unit(a_circle_is_printed_as_dots),
        unit(depth_and_number_of_containers_are_limited),
        unit(objects_of_sync_are_printed_as_they_stand),
        unit(queues_are_printed_with_size_bound_and_whether_they_are_closed),
        unit(anything_else_is_refused),
        unit(proxies_are_printed_as_what_is_in_the_server),
    };
    return cmocka_run_group_tests(tests, open_ends, close_ends);
}
