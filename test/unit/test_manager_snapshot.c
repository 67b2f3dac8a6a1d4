/* Snapshots of managers: what is in a server comes back after its end, and a file that is damaged or another's does not
 * become a server. What happens when somebody dies is in test_manager_snapshot_deaths.c. */
#include "children.h"
#include "harness.h"
#include "managers.h"
#include "snapshots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_shown(mproc_value value, const char *text)
{
    char *shown = mproc_value_repr(value);
    assert_string_equal(shown, text);
    free(shown);
}

/* ---- what comes back ---- */

static void fill_containers(mproc_manager *manager)
{
    mproc_dict *dict;
    mproc_list *list;
    mproc_set *set;
    mproc_namespace *names;
    mproc_variable *variable;
    mproc_array *array;
    const int32_t elements[] = {1, -2, 3};

    assert_int_equal(mproc_manager_dict(manager, &dict, "dict", SOON), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_string("Ada"), mproc_int(36), SOON), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_bool(true), mproc_double(1.5), SOON), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_nil(), mproc_opaque(7, "seven", 5), SOON), 0);
    assert_int_equal(mproc_manager_list(manager, &list, "list", SOON), 0);
    assert_int_equal(mproc_list_append(list, mproc_bytes("b\0b", 3), SOON), 0);
    assert_int_equal(mproc_list_insert(list, 0, mproc_string("first"), SOON), 0);
    assert_int_equal(mproc_manager_set(manager, &set, "set", SOON), 0);
    assert_int_equal(mproc_set_add(set, mproc_int(5), SOON), 0);
    assert_int_equal(mproc_manager_namespace(manager, &names, "names", SOON), 0);
    assert_int_equal(mproc_namespace_set(names, "x", mproc_int(-1), SOON), 0);
    assert_int_equal(mproc_manager_variable(manager, &variable, "variable", mproc_string("held"), SOON), 0);
    assert_int_equal(mproc_manager_array(manager, &array, "array", 3, sizeof *elements, SOON), 0);
    assert_int_equal(mproc_array_write(array, 0, 3, elements, SOON), 0);
}

static void assert_containers(mproc_manager *manager)
{
    mproc_dict *dict;
    mproc_list *list;
    mproc_set *set;
    mproc_namespace *names;
    mproc_variable *variable;
    mproc_array *array;
    mproc_value all;
    int32_t elements[3];

    assert_int_equal(mproc_manager_dict(manager, &dict, "dict", SOON), 0);
    assert_int_equal(mproc_dict_copy(dict, &all, SOON), 0);
    assert_shown(all, "{'Ada': 36, True: 1.5, None: <opaque 7: 5 bytes>}");
    mproc_value_free(&all);
    assert_int_equal(mproc_manager_list(manager, &list, "list", SOON), 0);
    assert_int_equal(mproc_list_copy(list, &all, SOON), 0);
    assert_shown(all, "['first', b'b\\x00b']");
    mproc_value_free(&all);
    assert_int_equal(mproc_manager_set(manager, &set, "set", SOON), 0);
    assert_int_equal(mproc_set_copy(set, &all, SOON), 0);
    assert_shown(all, "[5]");
    mproc_value_free(&all);
    assert_int_equal(mproc_manager_namespace(manager, &names, "names", SOON), 0);
    assert_int_equal(mproc_namespace_copy(names, &all, SOON), 0);
    assert_shown(all, "{'x': -1}");
    mproc_value_free(&all);
    assert_int_equal(mproc_manager_variable(manager, &variable, "variable", mproc_nil(), SOON), 0);
    assert_int_equal(mproc_variable_get(variable, &all, SOON), 0);
    assert_shown(all, "'held'");
    mproc_value_free(&all);
    assert_int_equal(mproc_manager_array(manager, &array, "array", 9, 9, SOON), 0);
    assert_int_equal(mproc_array_count(array), 3);
    assert_int_equal(mproc_array_element_size(array), 4);
    assert_int_equal(mproc_array_read(array, 0, 3, elements, SOON), 0);
    assert_int_equal(elements[0] + 10 * elements[1] + 100 * elements[2], 281);
}

static void each_container_comes_back_after_a_shutdown(void **state)
{
    (void)state;
    mproc_manager *manager = start_with_snapshot(NULL);
    fill_containers(manager);
    assert_int_equal(mproc_manager_shutdown(manager, SOON), 0);
    mproc_manager_free(manager);
    manager = start_with_snapshot(NULL);
    assert_containers(manager);
    mproc_manager_free(manager);
    manager = start_with_snapshot(NULL); /* and from what a restored one has written */
    assert_containers(manager);
    mproc_manager_free(manager);
    assert_only_the_snapshot_is_left();
}

static void what_was_saved_comes_back_after_a_kill_and_no_more(void **state)
{
    mproc_dict *dict;
    mproc_value found;

    (void)state;
    mproc_manager *manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_manager_dict(manager, &dict, "it", SOON), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_string("saved"), SOON), 0);
    assert_int_equal(mproc_manager_save(manager, SOON), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_string("not saved"), SOON), 0);
    kill_server(manager);
    manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_manager_dict(manager, &dict, "it", SOON), 0);
    assert_int_equal(mproc_dict_get(dict, mproc_int(1), &found, SOON), 0);
    assert_shown(found, "'saved'");
    mproc_value_free(&found);
    mproc_manager_free(manager);
    assert_only_the_snapshot_is_left();
}

static mproc_remote *remote_of(mproc_manager *manager, enum mproc_remote_kind kind, int64_t number, const char *name)
{
    mproc_remote *remote;
    assert_int_equal(mproc_manager_remote(manager, &remote, kind, number, name, SOON), 0);
    return remote;
}

/* Nobody holds anything after a restart; whoever takes what was held is told. */
static void locks_and_semaphores_come_back_free(void **state)
{
    static const enum mproc_remote_kind locks[] = {MPROC_REMOTE_LOCK, MPROC_REMOTE_RLOCK, MPROC_REMOTE_CONDITION};
    static const char *const held[] = {"lock", "rlock", "condition"}, *const free_ones[] = {"l", "r", "c"};

    (void)state;
    mproc_manager *manager = start_with_snapshot(NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mproc_remote_acquire(remote_of(manager, locks[i], 0, held[i]), SOON), 0);
        remote_of(manager, locks[i], 0, free_ones[i]);
    }
    mproc_remote *semaphore = remote_of(manager, MPROC_REMOTE_SEMAPHORE, 2, "semaphore");
    mproc_remote *bounded = remote_of(manager, MPROC_REMOTE_BOUNDED_SEMAPHORE, 2, "bounded");
    assert_int_equal(mproc_remote_release(semaphore, SOON), 0);
    assert_int_equal(mproc_remote_acquire(semaphore, SOON), 0);
    assert_int_equal(mproc_remote_acquire(bounded, SOON), 0);
    mproc_manager_free(manager);

    manager = start_with_snapshot(NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mproc_remote_acquire(remote_of(manager, locks[i], 0, held[i]), SOON), MPROC_OWNER_DIED);
        assert_int_equal(mproc_remote_acquire(remote_of(manager, locks[i], 0, free_ones[i]), SOON), 0);
    }
    semaphore = remote_of(manager, MPROC_REMOTE_SEMAPHORE, 0, "semaphore");
    for (int i = 0; i < 3; i++)
        assert_int_equal(mproc_remote_acquire(semaphore, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_remote_acquire(semaphore, MPROC_NOWAIT), MPROC_TIMEOUT);
    bounded = remote_of(manager, MPROC_REMOTE_BOUNDED_SEMAPHORE, 0, "bounded");
    assert_int_equal(mproc_remote_release(bounded, SOON), -EOVERFLOW);
    assert_int_equal(mproc_remote_acquire(bounded, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_remote_acquire(bounded, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_remote_acquire(bounded, MPROC_NOWAIT), MPROC_TIMEOUT);
    mproc_manager_free(manager);
}

static void events_barriers_and_queues_come_back_as_they_were(void **state)
{
    mproc_value got;
    bool is_set;

    (void)state;
    mproc_manager *manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_remote_set(remote_of(manager, MPROC_REMOTE_EVENT, 0, "set"), SOON), 0);
    remote_of(manager, MPROC_REMOTE_EVENT, 0, "clear");
    assert_int_equal(mproc_remote_abort(remote_of(manager, MPROC_REMOTE_BARRIER, 2, "broken"), SOON), 0);
    remote_of(manager, MPROC_REMOTE_BARRIER, 1, "whole");
    mproc_remote *queue = remote_of(manager, MPROC_REMOTE_QUEUE, 3, "queue");
    for (int i = 0; i < 3; i++)
        assert_int_equal(mproc_remote_put(queue, mproc_int(i), SOON), 0);
    assert_int_equal(mproc_remote_get(queue, &got, SOON), 0);
    mproc_manager_free(manager);

    manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_remote_is_set(remote_of(manager, MPROC_REMOTE_EVENT, 0, "set"), &is_set, SOON), 0);
    assert_true(is_set);
    assert_int_equal(mproc_remote_is_set(remote_of(manager, MPROC_REMOTE_EVENT, 0, "clear"), &is_set, SOON), 0);
    assert_false(is_set);
    assert_int_equal(mproc_remote_wait(remote_of(manager, MPROC_REMOTE_BARRIER, 2, "broken"), SOON), MPROC_BROKEN);
    assert_int_equal(mproc_remote_wait(remote_of(manager, MPROC_REMOTE_BARRIER, 1, "whole"), SOON), 0);
    queue = remote_of(manager, MPROC_REMOTE_QUEUE, 0, "queue");
    for (int i = 1; i < 3; i++) {
        assert_int_equal(mproc_remote_get(queue, &got, SOON), 0);
        assert_int_equal(got.integer, i);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mproc_remote_join(queue, MPROC_NOWAIT), MPROC_TIMEOUT);
        assert_int_equal(mproc_remote_task_done(queue, SOON), 0);
    }
    assert_int_equal(mproc_remote_join(queue, MPROC_NOWAIT), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mproc_remote_put(queue, mproc_int(i), MPROC_NOWAIT), 0);
    assert_int_equal(mproc_remote_put(queue, mproc_int(9), MPROC_NOWAIT), MPROC_TIMEOUT);
    mproc_manager_free(manager);
}

/* A dict holds a list without a name, which holds the dict, itself, and a queue that holds a set. */
static void objects_refer_to_one_another_in_circles_after_a_restart(void **state)
{
    mproc_dict *dict;
    mproc_list *list;
    mproc_set *set;
    mproc_value got, item;

    (void)state;
    mproc_manager *manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_manager_dict(manager, &dict, "dict", SOON), 0);
    assert_int_equal(mproc_manager_list(manager, &list, NULL, SOON), 0);
    assert_int_equal(mproc_manager_set(manager, &set, NULL, SOON), 0);
    mproc_remote *queue = remote_of(manager, MPROC_REMOTE_QUEUE, 0, NULL);
    const mproc_value inner[] = {mproc_object_value(list), mproc_object_value(dict)};
    const mproc_pair pair = {mproc_object_value(dict), mproc_list_of(inner, 2)};
    assert_int_equal(mproc_list_append(list, mproc_dict_of(&pair, 1), SOON), 0);
    assert_int_equal(mproc_list_append(list, mproc_object_value(queue), SOON), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_string("list"), mproc_object_value(list), SOON), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_object_value(set), mproc_int(1), SOON), 0);
    assert_int_equal(mproc_remote_put(queue, mproc_object_value(set), SOON), 0);
    assert_int_equal(mproc_set_add(set, mproc_object_value(queue), SOON), 0);
    mproc_manager_free(manager);

    manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_manager_dict(manager, &dict, "dict", SOON), 0);
    assert_int_equal(mproc_dict_get(dict, mproc_string("list"), &got, SOON), 0);
    assert_int_equal(got.kind, MPROC_OBJECT);
    list = got.object;
    assert_int_equal(mproc_list_get(list, 0, &item, SOON), 0);
    const mproc_value *found = mproc_value_get(&item, mproc_object_value(dict));
    assert_non_null(found);
    assert_ptr_equal(found->items[0].object, list);
    assert_ptr_equal(found->items[1].object, dict);
    mproc_value_free(&item);
    assert_int_equal(mproc_list_get(list, 1, &item, SOON), 0);
    queue = item.object;
    assert_int_equal(mproc_remote_get(queue, &got, SOON), 0);
    set = got.object;
    assert_int_equal(mproc_set_contains(set, mproc_object_value(queue), SOON), 0);
    assert_int_equal(mproc_dict_get(dict, mproc_object_value(set), &got, SOON), 0);
    assert_int_equal(got.integer, 1);
    mproc_manager_free(manager);
}

static void what_nobody_can_reach_by_a_name_is_not_saved(void **state)
{
    mproc_list *list;
    mproc_dict *dict;
    char *text = calloc(1, 100000);

    (void)state;
    mproc_manager *manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_manager_list(manager, &list, NULL, SOON), 0);
    assert_int_equal(mproc_list_append(list, mproc_bytes(text, 100000), SOON), 0);
    assert_int_equal(mproc_manager_dict(manager, &dict, "forgotten", SOON), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_bytes(text, 100000), SOON), 0);
    assert_int_equal(mproc_manager_forget(manager, "forgotten", SOON), 0);
    assert_int_equal(mproc_manager_save(manager, SOON), 0);
    assert_true(snapshots_size() < 1000);
    mproc_manager_free(manager);
    free(text);
}

/* Of 100 KiB, of 100 lists in one another, and an array that is written in pieces. */
static void large_and_deep_values_come_back(void **state)
{
    enum {
        SIZE = 100 * 1024,
        DEPTH = 100,
        ELEMENTS = 2500 * 1024 + 7
    };
    mproc_value deep[DEPTH + 1], found;
    unsigned char *bytes = malloc(SIZE), *elements = malloc(ELEMENTS), *same = calloc(1, ELEMENTS);
    mproc_dict *dict;
    mproc_array *array;

    (void)state;
    memset(bytes, 'x', SIZE);
    for (int i = 0; i < ELEMENTS; i++)
        elements[i] = (unsigned char)(i * 7 + i / 256);
    deep[0] = mproc_int(1);
    for (int i = 0; i < DEPTH; i++)
        deep[i + 1] = mproc_list_of(&deep[i], 1);
    mproc_manager *manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_manager_dict(manager, &dict, "dict", SOON), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(mproc_dict_set(dict, mproc_int(i), mproc_bytes(bytes, SIZE), SOON), 0);
    assert_int_equal(mproc_manager_array(manager, &array, "array", ELEMENTS, 1, SOON), 0);
    assert_int_equal(mproc_array_write(array, 0, ELEMENTS, elements, SOON), 0);
    mproc_dict *inner; /* deeper than a request can carry it in its own list */
    assert_int_equal(mproc_manager_dict(manager, &inner, "deep", SOON), 0);
    int depth = DEPTH;
    while (mproc_dict_set(inner, mproc_int(1), deep[depth], SOON))
        assert_true(--depth > DEPTH - 5);
    mproc_manager_free(manager);

    manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_manager_dict(manager, &dict, "dict", SOON), 0);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(mproc_dict_get(dict, mproc_int(i), &found, SOON), 0);
        assert_int_equal(found.size, SIZE);
        assert_memory_equal(found.bytes, bytes, SIZE);
        mproc_value_free(&found);
    }
    assert_int_equal(mproc_manager_array(manager, &array, "array", 1, 1, SOON), 0);
    assert_int_equal(mproc_array_count(array), ELEMENTS);
    assert_int_equal(mproc_array_read(array, 0, ELEMENTS, same, SOON), 0);
    assert_memory_equal(elements, same, ELEMENTS);
    assert_int_equal(mproc_manager_dict(manager, &inner, "deep", SOON), 0);
    assert_int_equal(mproc_dict_get(inner, mproc_int(1), &found, SOON), 0);
    assert_true(mproc_value_equal(found, deep[depth]));
    mproc_value_free(&found);
    mproc_manager_free(manager);
    free(bytes);
    free(elements);
    free(same);
}

static void a_client_finds_a_restarted_server_by_the_names(void **state)
{
    char address[64];
    mproc_dict *dict, *same;
    mproc_value found;

    (void)state;
    snprintf(address, sizeof address, "unix:/tmp/mproc-test-snapshot-%d", (int)getpid());
    mproc_manager *manager = start_with_snapshot(address), *client = join_manager(manager);
    assert_int_equal(mproc_manager_dict(client, &dict, "it", SOON), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_int(2), SOON), 0);
    mproc_manager_free(manager);
    manager = start_with_snapshot(address);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_int(3), SOON), MPROC_SERVER_DIED);
    assert_int_equal(mproc_manager_dict(client, &same, "it", SOON), 0);
    assert_int_equal(mproc_dict_get(same, mproc_int(1), &found, SOON), 0);
    assert_int_equal(found.integer, 2);
    mproc_manager_free(client);
    mproc_manager_free(manager);
}

/* ---- types of the program's ---- */

static int make_counter(void **object, const mproc_value *args, size_t count)
{
    (void)args;
    (void)count;
    *object = calloc(1, sizeof(int64_t));
    return *object ? 0 : -ENOMEM;
}

static int counter_up(void *object, const mproc_value *args, size_t count, mproc_value *result)
{
    (void)args;
    (void)count;
    *result = mproc_int(++*(int64_t *)object);
    return 0;
}

static int save_counter(void *object, mproc_value *state)
{
    if (*(int64_t *)object == 3)
        return -ERANGE;
    *state = mproc_int(*(int64_t *)object);
    return 0;
}

static int restore_counter(void **object, const mproc_value *state)
{
    int result = make_counter(object, NULL, 0);
    if (!result)
        *(int64_t *)*object = state->integer;
    return result;
}

static const mproc_manager_method counter_methods[] = {{"up", counter_up}};
static const mproc_manager_type counter_type = {.name = "Counter",
                                                .construct = make_counter,
                                                .destroy = free,
                                                .methods = counter_methods,
                                                .method_count = 1,
                                                .save = save_counter,
                                                .restore = restore_counter};
static const mproc_manager_type plain_type = {.name = "Plain", .construct = make_counter, .destroy = free};

static mproc_object *object_of(mproc_manager *manager, const char *type, const char *name)
{
    mproc_object *object;
    assert_int_equal(mproc_manager_object(manager, &object, type, name, NULL, 0, SOON), 0);
    return object;
}

static void assert_counts(mproc_object *counter, int64_t count)
{
    mproc_value found;
    assert_int_equal(mproc_object_call(counter, "up", NULL, 0, &found, SOON), 0);
    assert_int_equal(found.integer, count);
}

/* In a child: only that has the types. */
static int save_objects(void *arg)
{
    mproc_list *list;

    (void)arg;
    assert_int_equal(mproc_manager_register(&counter_type), 0);
    assert_int_equal(mproc_manager_register(&plain_type), 0);
    mproc_manager *manager = start_with_snapshot(NULL);
    assert_counts(object_of(manager, "Counter", "counter"), 1);
    assert_int_equal(mproc_manager_list(manager, &list, "list", SOON), 0);
    const mproc_value plain = mproc_object_value(object_of(manager, "Plain", "plain"));
    const mproc_value other = mproc_object_value(object_of(manager, "Plain", "other"));
    const mproc_pair pairs[] = {{plain, mproc_int(1)}, {other, mproc_int(2)}, {mproc_int(3), plain}};
    assert_int_equal(mproc_list_append(list, mproc_dict_of(pairs, 3), SOON), 0);
    assert_int_equal(mproc_list_append(list, plain, SOON), 0);
    assert_int_equal(mproc_list_append(list, mproc_object_value(object_of(manager, "Counter", NULL)), SOON), 0);
    mproc_manager_free(manager);
    return 0;
}

static void objects_of_types_that_can_be_saved_come_back(void **state)
{
    mproc_list *list;
    mproc_value all;

    (void)state;
    assert_int_equal(in_child(save_objects, NULL), 0);
    assert_int_equal(serve_snapshot(), MPROC_NOT_FOUND); /* there is no such type here */
    assert_int_equal(
        mproc_manager_register(&(mproc_manager_type){.name = "T", .construct = make_counter, .save = save_counter}),
        -EINVAL);
    assert_int_equal(mproc_manager_register(&counter_type), 0);
    books_forgive();
    mproc_manager *manager = start_with_snapshot(NULL);
    mproc_object *counter = object_of(manager, "Counter", "counter");
    assert_counts(counter, 2);
    assert_int_equal(mproc_manager_list(manager, &list, "list", SOON), 0);
    assert_int_equal(mproc_list_copy(list, &all, SOON), 0);
    assert_int_equal(all.size, 3);
    assert_shown(all.items[0], "{3: None}"); /* pairs whose keys are lost go */
    assert_shown(all.items[1], "None");
    assert_counts(all.items[2].object, 1);
    mproc_value_free(&all);
    assert_int_equal(mproc_manager_save(manager, SOON), 0);
    assert_counts(counter, 3);
    assert_int_equal(mproc_manager_save(manager, SOON), -ERANGE);
    assert_int_equal(mproc_manager_shutdown(manager, SOON), -ERANGE);
    assert_counts(counter, 4);
    mproc_manager_free(manager);
}

/* ---- files that are none ---- */

static void make_small_snapshot(void)
{
    mproc_dict *dict;
    mproc_manager *manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_manager_dict(manager, &dict, "a", SOON), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_object_value(dict), SOON), 0);
    remote_of(manager, MPROC_REMOTE_LOCK, 0, "b");
    mproc_manager_free(manager);
}

static void a_file_that_is_damaged_at_any_byte_is_refused_and_left_alone(void **state)
{
    unsigned char bytes[1000], same[1000];

    (void)state;
    make_small_snapshot();
    size_t size = snapshots_load(bytes, sizeof bytes);
    assert_true(size > 100 && size < sizeof bytes);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= (unsigned char)(1 << i % 8);
        snapshots_store(bytes, size);
        assert_int_equal(serve_snapshot(), i == 15 ? -EPROTONOSUPPORT : -EBADMSG); /* the last byte of the magic */
        assert_int_equal(snapshots_load(same, sizeof same), size);
        assert_memory_equal(bytes, same, size);
        bytes[i] ^= (unsigned char)(1 << i % 8);
    }
    snapshots_store(bytes, size);
    mproc_manager_free(start_with_snapshot(NULL));
}

static void a_file_that_is_cut_off_anywhere_or_longer_is_refused(void **state)
{
    unsigned char bytes[1000];

    (void)state;
    make_small_snapshot();
    size_t size = snapshots_load(bytes, sizeof bytes);
    for (size_t i = 0; i < size; i++) {
        snapshots_store(bytes, i);
        assert_int_equal(serve_snapshot(), -EBADMSG);
    }
    bytes[size] = 0;
    snapshots_store(bytes, size + 1);
    assert_int_equal(serve_snapshot(), -EBADMSG);
    snapshots_store(bytes, size);
    mproc_manager_free(start_with_snapshot(NULL));
}

static void a_file_that_others_may_touch_or_that_is_no_file_is_refused(void **state)
{
    (void)state;
    make_small_snapshot();
    assert_int_equal(chmod(snapshots_path(), 0640), 0);
    assert_int_equal(serve_snapshot(), -EPERM);
    assert_int_equal(unlink(snapshots_path()), 0);
    assert_int_equal(mkdir(snapshots_path(), 0700), 0);
    assert_int_equal(serve_snapshot(), -EPERM);
    assert_int_equal(rmdir(snapshots_path()), 0);
    assert_int_equal(symlink("/dev/null", snapshots_path()), 0);
    assert_int_equal(serve_snapshot(), -ELOOP);
    assert_int_equal(unlink(snapshots_path()), 0);
    assert_int_equal(mkfifo(snapshots_path(), 0600), 0);
    assert_int_equal(serve_snapshot(), -EPERM);
    assert_int_equal(unlink(snapshots_path()), 0);
    mproc_manager *manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_manager_save(manager, SOON), 0);
    struct stat status;
    assert_int_equal(stat(snapshots_path(), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    mproc_manager_free(manager);
}

static int serve_file(const char *path)
{
    const mproc_manager_options options = {.key = "k", .key_size = 1, .snapshot_file = path};
    return mproc_manager_serve("unix:", &options);
}

static void paths_that_cannot_be_are_refused(void **state)
{
    char path[5000];

    (void)state;
    assert_int_equal(serve_file(""), -EINVAL);
    assert_int_equal(serve_file("/tmp/"), -EINVAL);
    assert_int_equal(serve_file("/no/such/folder"), -ENOENT);
    assert_int_equal(serve_file("/dev/null/file"), -ENOTDIR);
    memset(path, 'x', sizeof path);
    path[251] = 0;
    assert_int_equal(serve_file(path), -ENAMETOOLONG);
    path[251] = 'x';
    path[4990] = '/';
    path[sizeof path - 1] = 0;
    assert_int_equal(serve_file(path), -ENAMETOOLONG);
}

static void a_server_without_a_file_says_so(void **state)
{
    (void)state;
    mproc_manager *manager = make_manager(NULL, NULL);
    assert_int_equal(mproc_manager_save(manager, SOON), -EOPNOTSUPP);
    assert_int_equal(mproc_manager_save(manager, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_manager_save(NULL, SOON), -EINVAL);
    assert_serves(manager);
    mproc_manager_free(manager);
}

static void two_servers_cannot_have_one_file(void **state)
{
    (void)state;
    mproc_manager *manager = start_with_snapshot(NULL);
    assert_int_equal(serve_snapshot(), -EBUSY);
    assert_int_equal(mproc_manager_save(manager, SOON), 0);
    mproc_manager_free(manager);
    mproc_manager_free(start_with_snapshot(NULL));
    assert_only_the_snapshot_is_left();
}

#define snapshot(fn) cmocka_unit_test_setup_teardown(fn, snapshots_begin, snapshots_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        snapshot(each_container_comes_back_after_a_shutdown),
        snapshot(what_was_saved_comes_back_after_a_kill_and_no_more),
        snapshot(locks_and_semaphores_come_back_free),
        snapshot(events_barriers_and_queues_come_back_as_they_were),
        snapshot(objects_refer_to_one_another_in_circles_after_a_restart),
        snapshot(what_nobody_can_reach_by_a_name_is_not_saved),
        snapshot(large_and_deep_values_come_back),
        snapshot(a_client_finds_a_restarted_server_by_the_names),
        snapshot(objects_of_types_that_can_be_saved_come_back),
        snapshot(a_file_that_is_damaged_at_any_byte_is_refused_and_left_alone),
        snapshot(a_file_that_is_cut_off_anywhere_or_longer_is_refused),
        snapshot(a_file_that_others_may_touch_or_that_is_no_file_is_refused),
        snapshot(paths_that_cannot_be_are_refused),
        snapshot(a_server_without_a_file_says_so),
        snapshot(two_servers_cannot_have_one_file),
    };
    return cmocka_run_group_tests(tests, make_first_manager, NULL);
}
