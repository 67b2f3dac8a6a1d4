/* A manager's server, however it is started: what it knows of the program's types, and what is left when it is killed.
 */
#include "children.h"
#include "fresh.h"
#include "managers.h"
#include "processes.h"

#include <errno.h>
#include <mproc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int by_fork(void **state)
{
    fresh_method = MPROC_START_FORK;
    return books_open(state);
}

#define all_ways(fn) {"fork: " #fn, fn, by_fork, books_check, NULL}, both(fn)

static mproc_manager *begin(void)
{
    return make_manager(NULL, &(mproc_manager_options){.method = fresh_method});
}

/* ---- types ---- */

static int make_counter(void **object, const mproc_value *args, size_t count)
{
    (void)args;
    (void)count;
    *object = calloc(1, sizeof(int64_t));
    return *object ? 0 : -ENOMEM;
}

static int count_up(void *object, const mproc_value *args, size_t count, mproc_value *result)
{
    (void)args;
    (void)count;
    *result = mproc_int(++*(int64_t *)object);
    return 0;
}

static const mproc_manager_method methods[] = {{"up", count_up}};
static const mproc_manager_type counter_type = {
    .name = "Counter", .construct = make_counter, .destroy = free, .methods = methods, .method_count = 1};
static mproc_manager_type changed_type; /* of which a fresh process has nothing */

static void a_registered_type_is_known_to_the_server(void **state)
{
    mproc_manager *manager = begin();
    mproc_object *counter;
    mproc_value found;

    (void)state;
    assert_int_equal(mproc_manager_object(manager, &counter, "Counter", NULL, NULL, 0, SOON), 0);
    assert_int_equal(mproc_object_call(counter, "up", NULL, 0, NULL, SOON), 0);
    assert_int_equal(mproc_object_call(counter, "up", NULL, 0, &found, SOON), 0);
    assert_int_equal(found.integer, 2);
    mproc_object_free(counter);
    mproc_manager_free(manager);
}

static int create(mproc_manager **manager)
{
    return mproc_manager_create(manager, &(mproc_manager_options){.method = fresh_method});
}

/* What is registered stays, so these are children. */
static int register_and_start(const mproc_manager_type *type)
{
    mproc_manager *manager;
    int result = mproc_manager_register(type);
    if (result)
        return 100;
    result = create(&manager);
    if ((result == 0) != (manager != NULL))
        return 101;
    mproc_manager_free(manager);
    return result;
}

static int register_made(void *arg)
{
    mproc_manager_type *type = malloc(sizeof *type);
    (void)arg;
    if (!type)
        return 102;
    *type = counter_type;
    type->name = "Made";
    int result = register_and_start(type);
    free(type);
    return result;
}

static int register_changed(void *arg)
{
    (void)arg;
    changed_type = counter_type;
    changed_type.name = "Changed";
    return register_and_start(&changed_type);
}

static void a_type_that_a_fresh_server_cannot_have_is_an_error(void **state)
{
    (void)state;
    mproc_log_set_level(MPROC_LOG_OFF);
    assert_int_equal(child_finish(child_start(register_made, NULL)), MPROC_NO_FUNCTION);
    assert_int_equal(child_finish(child_start(register_changed, NULL)), MPROC_NO_FUNCTION);
    fresh_method = MPROC_START_FORK;
    assert_int_equal(child_finish(child_start(register_made, NULL)), 0);
    assert_int_equal(child_finish(child_start(register_changed, NULL)), 0);
}

/* ---- what a server had ---- */

enum {
    MIB = 1 << 20
};

static pid_t pid_of_server(void)
{
    mproc_process *children[4];
    int count = mproc_active_children(children, 4);
    assert_int_equal(count, 1);
    return mproc_process_pid(children[0]);
}

static void kill_server(mproc_manager *manager)
{
    pid_t server = pid_of_server();
    mproc_dict *dict;
    assert_int_equal(kill(server, SIGKILL), 0);
    assert_int_equal(mproc_manager_dict(manager, &dict, NULL, SOON), MPROC_SERVER_DIED);
}

static size_t allocated(void)
{
    mproc_memory_statistics usage;
    assert_int_equal(mproc_memory_usage(&usage), 0);
    return usage.allocated;
}

static void fill(mproc_manager *manager, size_t mebibytes)
{
    char *text = calloc(1, MIB);
    mproc_list *list;
    assert_int_equal(mproc_manager_list(manager, &list, "it", SOON), 0);
    for (size_t i = 0; i < mebibytes; i++)
        assert_int_equal(mproc_list_append(list, mproc_bytes(text, MIB), SOON), 0);
    free(text);
}

static void what_a_killed_server_had_goes_with_its_manager(void **state)
{
    size_t before = allocated();
    mproc_manager *manager = begin();

    (void)state;
    fill(manager, 50);
    assert_true(allocated() >= before + 50 * (size_t)MIB);
    kill_server(manager);
    mproc_manager_free(manager);
    assert_int_equal(allocated(), before);
}

static void each_kind_of_container_of_a_killed_server_goes(void **state)
{
    size_t before = allocated();
    mproc_manager *manager = begin();
    mproc_dict *dict;
    mproc_set *set;
    mproc_namespace *names;
    mproc_variable *variable;
    mproc_array *array;

    (void)state;
    assert_int_equal(mproc_manager_dict(manager, &dict, NULL, SOON), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_string("text"), SOON), 0);
    assert_int_equal(mproc_manager_set(manager, &set, NULL, SOON), 0);
    assert_int_equal(mproc_set_add(set, mproc_object_value(dict), SOON), 0);
    assert_int_equal(mproc_manager_namespace(manager, &names, NULL, SOON), 0);
    assert_int_equal(mproc_namespace_set(names, "name", mproc_object_value(set), SOON), 0);
    assert_int_equal(mproc_manager_variable(manager, &variable, NULL, mproc_string("text"), SOON), 0);
    assert_int_equal(mproc_manager_array(manager, &array, NULL, MIB, 8, SOON), 0);
    mproc_variable_free(variable); /* the server frees it, and it is in the books no more */
    assert_int_equal(mproc_dict_set(dict, mproc_int(2), mproc_nil(), SOON), 0); /* it has done so when it answers */
    kill_server(manager);
    mproc_manager_free(manager);
    assert_int_equal(allocated(), before);
}

/* It has no part in the server of its parent, alive or dead. */
static int free_and_look(void *arg)
{
    mproc_manager_free(arg);
    return 0;
}

static void a_forked_child_leaves_the_containers_alone(void **state)
{
    mproc_manager *manager = begin();
    mproc_list *list;
    size_t length;

    (void)state;
    fill(manager, 1);
    assert_int_equal(child_finish(child_start(free_and_look, manager)), 0);
    assert_int_equal(mproc_manager_list(manager, &list, "it", SOON), 0);
    assert_int_equal(mproc_list_length(list, &length, SOON), 0);
    assert_int_equal(length, 1);
    kill_server(manager);
    size_t before = allocated();
    assert_int_equal(child_finish(child_start(free_and_look, manager)), 0);
    assert_int_equal(allocated(), before);
    mproc_manager_free(manager);
}

/* Killed wherever it is as it makes and frees: of all that it has it leaves one container at most. */
static void a_server_that_is_killed_at_work_leaves_little(void **state)
{
    enum {
        ROUNDS = 20,
        KEPT = 100,
        LITTLE = 4096
    };

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        size_t before = allocated();
        mproc_manager *manager = begin();
        pid_t server = pid_of_server();
        mproc_dict *dict;
        for (int kept = 0; kept < KEPT; kept++)
            assert_int_equal(mproc_manager_dict(manager, &dict, NULL, SOON), 0);
        pid_t killer = fork();
        if (killer == 0) {
            usleep((useconds_t)(1000 * i));
            kill(server, SIGKILL);
            _exit(0);
        }
        while (mproc_manager_dict(manager, &dict, NULL, SOON) == 0 &&
               mproc_dict_set(dict, mproc_int(1), mproc_string("text"), SOON) == 0)
            mproc_dict_free(dict);
        assert_int_equal(child_finish(killer), 0);
        mproc_manager_free(manager);
        assert_true(allocated() <= before + LITTLE);
    }
    books_forgive();
}

static int start_each(void **state)
{
    warm_up_with_server(state);
    make_first_manager(state);
    assert_int_equal(mproc_manager_register(&counter_type), 0);
    for (int method = MPROC_START_SPAWN; method <= MPROC_START_FORKSERVER; method++) {
        fresh_method = (enum mproc_start_method)method;
        mproc_manager_free(begin());
    }
    return 0;
}

int main(void)
{
    mproc_init();
    const struct CMUnitTest tests[] = {
        all_ways(a_registered_type_is_known_to_the_server),
        both(a_type_that_a_fresh_server_cannot_have_is_an_error),
        all_ways(what_a_killed_server_had_goes_with_its_manager),
        all_ways(each_kind_of_container_of_a_killed_server_goes),
        all_ways(a_forked_child_leaves_the_containers_alone),
        unit(a_server_that_is_killed_at_work_leaves_little),
    };
    return cmocka_run_group_tests(tests, start_each, NULL);
}
