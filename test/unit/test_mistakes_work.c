/* Mistakes with processes, pools and managers: each says which function and argument, and changes nothing. */
#include "harness.h"
#include "managers.h"
#include "mistakes.h"
#include "pools.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_HANDLE "process is NULL, or no handle that is in use"
#define FOREIGN   "process was started by another process, which alone can wait for it"
#define CLOSED    "pool was closed or terminated, and takes no more work"

static int end_at_once(void *arg)
{
    return arg ? 1 : 0;
}

static void processes(void **state)
{
    mproc_process *process = NULL;
    mproc_postmortem death;
    int code;
    (void)state;
    says(mproc_process_start(NULL, end_at_once, NULL, NULL), -EINVAL, "mproc_process_start: process is NULL");
    says(mproc_process_start(&process, NULL, NULL, NULL), -EINVAL, "mproc_process_start: fn is NULL");
    says(mproc_process_join(NULL, SECONDS), -EINVAL, "mproc_process_join: " NO_HANDLE);
    says(mproc_process_join(mproc_current_process(), SECONDS), -EDEADLK,
         "mproc_process_join: process is the caller itself");
    says(mproc_process_exitcode(NULL, &code), -EINVAL, "mproc_process_exitcode: " NO_HANDLE);
    says(mproc_process_postmortem(NULL, &death), -EINVAL, "mproc_process_postmortem: " NO_HANDLE);
    says(mproc_process_pid(NULL), -EINVAL, "mproc_process_pid: " NO_HANDLE);
    says(mproc_process_sentinel(NULL), -EINVAL, "mproc_process_sentinel: " NO_HANDLE);
    says(mproc_process_terminate(NULL), -EINVAL, "mproc_process_terminate: " NO_HANDLE);
    says(mproc_process_kill(mproc_current_process()), -ECHILD, "mproc_process_kill: process is the caller itself");
    says(mproc_process_interrupt(NULL), -EINVAL, "mproc_process_interrupt: " NO_HANDLE);
    says(mproc_forkserver_preload(NULL, 1), -EINVAL, "mproc_forkserver_preload: libraries is NULL, but count is not 0");
    says(mproc_start_method_set((enum mproc_start_method)77), -EINVAL,
         "mproc_start_method_set: method is no start method");
    says(mproc_executable_set("/no/such"), -ENOENT, "mproc_executable_set: stat: No such file or directory");
    assert_int_equal(mproc_process_start(&process, end_at_once, NULL, NULL), 0);
    says(mproc_process_join(process, WRONG_TIME), -EINVAL, "mproc_process_join: timeout is negative");
    says(mproc_process_exitcode(process, NULL), -EINVAL, "mproc_process_exitcode: exitcode is NULL");
    says(mproc_process_postmortem(process, NULL), -EINVAL, "mproc_process_postmortem: postmortem is NULL");
    assert_int_equal(mproc_process_join(process, SECONDS), 0);
    mproc_process_free(process);
}

static void groups(void **state)
{
    mproc_group *group = NULL;
    mproc_process *ended;
    (void)state;
    says(mproc_group_create(NULL, NULL), -EINVAL, "mproc_group_create: group is NULL");
    assert_int_equal(mproc_group_create(&group, NULL), 0);
    says(mproc_group_start(NULL, NULL, end_at_once, NULL, NULL), -EINVAL, "mproc_group_start: group is NULL");
    says(mproc_group_start(group, NULL, NULL, NULL, NULL), -EINVAL, "mproc_group_start: fn is NULL");
    says(mproc_group_wait_any(group, &ended, SECONDS), -ECHILD,
         "mproc_group_wait_any: the end of every member of group was told");
    says(mproc_group_wait_all(group, WRONG_TIME), -EINVAL, "mproc_group_wait_all: timeout is negative");
    says(mproc_group_terminate(group, WRONG_TIME), -EINVAL, "mproc_group_terminate: grace is negative");
    says(mproc_group_size(NULL), -EINVAL, "mproc_group_size: group is NULL");
    assert_int_equal(mproc_group_size(group), 0);
    mproc_group_free(group);
}

static int use_what_is_the_parents(void *arg)
{
    mproc_group *group = ((void **)arg)[0];
    mproc_process *process = ((void **)arg)[1];
    int code;
    says(mproc_process_join(process, SECONDS), MPROC_FOREIGN, "mproc_process_join: " FOREIGN);
    says(mproc_process_exitcode(process, &code), MPROC_FOREIGN, "mproc_process_exitcode: " FOREIGN);
    says(mproc_group_size(group), -EPERM, "mproc_group_size: group belongs to the process that made it");
    says(mproc_group_wait_all(group, SECONDS), MPROC_FOREIGN,
         "mproc_group_wait_all: group belongs to the process that made it");
    says(mproc_process_join(mproc_parent_process(), SECONDS), -ECHILD,
         "mproc_process_join: process is the caller's parent, which is no child of its own");
    return 0;
}

static void another_process(void **state)
{
    void *both[2];
    mproc_process *first, *second;
    mproc_group *group;
    int code = -1;
    (void)state;
    assert_int_equal(mproc_group_create(&group, NULL), 0);
    assert_int_equal(mproc_process_start(&first, end_at_once, NULL, NULL), 0);
    both[0] = group;
    both[1] = first;
    assert_int_equal(mproc_process_start(&second, use_what_is_the_parents, both, NULL), 0);
    assert_int_equal(mproc_process_join(first, SECONDS), 0);
    assert_int_equal(mproc_process_join(second, SECONDS), 0);
    assert_int_equal(mproc_process_exitcode(second, &code), 0);
    assert_int_equal(code, 0);
    mproc_process_free(first);
    mproc_process_free(second);
    mproc_group_free(group);
}

static int give_nothing(void *arg, void *in)
{
    (void)arg;
    (void)in;
    return MPROC_CLOSED;
}

static void ignore(void *arg, mproc_future *future)
{
    (void)arg;
    (void)future;
}

static void calls_of_a_pool(mproc_pool *pool)
{
    mproc_future *future;
    mproc_imap *imap;
    long in = 3, out;
    const mproc_map map = {.count = 1, .in = &in, .in_size = sizeof in, .out = &out, .out_size = sizeof out};
    const mproc_map half = {.count = 1, .in = &in};
    const mproc_map late = {.count = 1, .item_timeout = MPROC_NS(7)};
    const mproc_map empty = {.count = 0};
    says(mproc_pool_map(NULL, square, NULL, &map, SECONDS), -EINVAL, "mproc_pool_map: pool is NULL, or no pool");
    says(mproc_pool_map(pool, NULL, NULL, &map, SECONDS), -EINVAL, "mproc_pool_map: fn is NULL");
    says(mproc_pool_map(pool, square, NULL, NULL, SECONDS), -EINVAL, "mproc_pool_map: map is NULL");
    says(mproc_pool_map(pool, square, NULL, &half, SECONDS), -EINVAL,
         "mproc_pool_map: map.in and map.in_size go together");
    says(mproc_pool_map(pool, square, NULL, &map, WRONG_TIME), -EINVAL, "mproc_pool_map: timeout is negative");
    says(mproc_pool_map(pool, square, NULL, &late, SECONDS), -EINVAL,
         "mproc_pool_map: map.item_timeout is negative, or its unit is missing");
    says(mproc_pool_map(pool, square, &in, &map, SECONDS), MPROC_NOT_SHARED,
         "mproc_pool_map: ctx is not in shared memory: set ctx_size, or take it from mproc_alloc()");
    says(mproc_pool_call(pool, square, NULL, &in, sizeof in, &out, 0, SECONDS), -EINVAL,
         "mproc_pool_call: out and out_size go together");
    says(mproc_pool_call(pool, square, NULL, NULL, 1, NULL, 0, SECONDS), -EINVAL,
         "mproc_pool_call: in and in_size go together");
    says(mproc_pool_run_on_all(pool, square, NULL, NULL, SECONDS), -EINVAL, "mproc_pool_run_on_all: map is NULL");
    says(mproc_pool_run_on_all(pool, square, NULL, &map, WRONG_TIME), -EINVAL,
         "mproc_pool_run_on_all: timeout is negative");
    says(mproc_pool_map_async(pool, &future, square, NULL, &empty), -EINVAL, "mproc_pool_map_async: map.count is 0");
    says(mproc_pool_submit(pool, NULL, square, NULL, NULL, 0, 0), -EINVAL, "mproc_pool_submit: future is NULL");
    says(mproc_pool_submit(pool, &future, square, NULL, NULL, 1, 0), -EINVAL,
         "mproc_pool_submit: in and in_size go together");
    says(mproc_pool_submit_with(pool, &future, square, NULL, &(mproc_submit_options){.retries = 999}), -EINVAL,
         "mproc_pool_submit_with: options.retries is above 255");
    says(mproc_pool_imap(pool, &imap, square, NULL, NULL), -EINVAL, "mproc_pool_imap: options is NULL");
    says(mproc_pool_imap(pool, NULL, square, NULL, NULL), -EINVAL, "mproc_pool_imap: imap is NULL");
    says(mproc_pool_join(pool, SECONDS), -EINVAL, "mproc_pool_join: the pool is open: close or terminate it first");
    says(mproc_pool_resize(pool, 0), -EINVAL, "mproc_pool_resize: workers is 0");
    says(mproc_pool_resize(pool, 99), -EINVAL, "mproc_pool_resize: workers is above the max_workers of the pool");
    says(mproc_pool_workers(pool, NULL, 1), -EINVAL, "mproc_pool_workers: pids is NULL, but capacity is not 0");
    says(mproc_pool_stats(pool, NULL, NULL, 1), -EINVAL, "mproc_pool_stats: workers is NULL, but capacity is not 0");
    says(mproc_pool_close(NULL), -EINVAL, "mproc_pool_close: pool is NULL, or no pool");
    says(mproc_pool_terminate(NULL), -EINVAL, "mproc_pool_terminate: pool is NULL, or no pool");
    says_null(mproc_task_result(8), EPERM, "mproc_task_result: the caller is no task of a pool");
    assert_int_equal(mproc_pool_map(pool, square, NULL, &map, SECONDS), 0);
    assert_int_equal(out, 9);
}

static void futures_of_a_pool(mproc_pool *pool)
{
    mproc_future *future;
    mproc_imap *imap;
    mproc_item_status status;
    mproc_postmortem death;
    long in = 3;
    const mproc_imap_options options = {.next = give_nothing, .in_size = 1};
    assert_int_equal(mproc_pool_submit(pool, &future, square, NULL, &in, sizeof in, sizeof in), 0);
    says(mproc_future_wait(future, WRONG_TIME), -EINVAL, "mproc_future_wait: timeout is negative");
    says(mproc_future_get(NULL, NULL, SECONDS), -EINVAL, "mproc_future_get: the future is NULL");
    says(mproc_future_status(future, NULL), -EINVAL, "mproc_future_status: status is NULL");
    says(mproc_future_postmortem(future, 0, NULL), -EINVAL, "mproc_future_postmortem: postmortem is NULL");
    says(mproc_future_cancel(NULL), -EINVAL, "mproc_future_cancel: the future is NULL");
    assert_int_equal(mproc_future_on_end(future, ignore, ignore, NULL), 0);
    says(mproc_future_on_end(future, ignore, ignore, NULL), -EINVAL,
         "mproc_future_on_end: callbacks of future were asked for already");
    assert_int_equal(mproc_future_wait(future, SECONDS), 0);
    mproc_future_free(future);
    assert_int_equal(mproc_pool_imap(pool, &imap, square, NULL, &options), 0);
    says(mproc_imap_next(imap, NULL, NULL, WRONG_TIME), -EINVAL, "mproc_imap_next: timeout is negative");
    says(mproc_imap_status(imap, NULL), -EINVAL, "mproc_imap_status: status is NULL");
    says(mproc_imap_status(imap, &status), -EINVAL, "mproc_imap_status: no result was got from this imap yet");
    says(mproc_imap_postmortem(imap, &death), -EINVAL, "mproc_imap_postmortem: no result was got from this imap yet");
    mproc_imap_free(imap);
}

static void pools(void **state)
{
    mproc_pool *pool = NULL;
    mproc_future *future;
    mproc_imap *imap;
    const mproc_map map = {.count = 1};
    const mproc_imap_options options = {.next = give_nothing, .in_size = 1};
    (void)state;
    says(mproc_pool_create(NULL, NULL), -EINVAL, "mproc_pool_create: pool is NULL");
    says(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2000}), -EINVAL,
         "mproc_pool_create: options.workers or options.max_workers is above 1024");
    assert_null(pool);
    pool = make_pool(1);
    calls_of_a_pool(pool);
    futures_of_a_pool(pool);
    assert_int_equal(mproc_pool_close(pool), 0);
    says(mproc_pool_submit(pool, &future, square, NULL, NULL, 0, 0), MPROC_CLOSED, "mproc_pool_submit: " CLOSED);
    says(mproc_pool_map(pool, square, NULL, &map, SECONDS), MPROC_CLOSED, "mproc_pool_map: " CLOSED);
    says(mproc_pool_map_async(pool, &future, square, NULL, &map), MPROC_CLOSED, "mproc_pool_map_async: " CLOSED);
    says(mproc_pool_call(pool, square, NULL, NULL, 0, NULL, 0, SECONDS), MPROC_CLOSED, "mproc_pool_call: " CLOSED);
    says(mproc_pool_run_on_all(pool, square, NULL, &map, SECONDS), MPROC_CLOSED, "mproc_pool_run_on_all: " CLOSED);
    says(mproc_pool_imap(pool, &imap, square, NULL, &options), MPROC_CLOSED, "mproc_pool_imap: " CLOSED);
    mproc_pool_free(pool);
}

static void starts_of_managers(void **state)
{
    mproc_manager *manager = NULL;
    (void)state;
    says(mproc_manager_create(NULL, NULL), -EINVAL, "mproc_manager_create: manager is NULL");
    says(mproc_manager_create(&manager, &(mproc_manager_options){.stall_time = MPROC_NS(4)}), -EINVAL,
         "mproc_manager_create: options.stall_time is negative, or under 100 us: its unit is missing");
    says(mproc_manager_create(&manager, &(mproc_manager_options){.key_size = 4}), -EINVAL,
         "mproc_manager_create: options.key is NULL, but options.key_size is not 0");
    says(mproc_manager_create(&manager, &(mproc_manager_options){.snapshot_file = "/no/such/folder/file"}), -ENOENT,
         "mproc_manager_create: options.snapshot_file cannot be used: No such file or directory");
    says(mproc_manager_serve("http:", &(mproc_manager_options){.key = "k", .key_size = 1}), -EINVAL,
         "mproc_manager_serve: address begins with neither unix: nor tcp:");
    says(mproc_manager_connect(&manager, "unix:", NULL, SECONDS), -EINVAL,
         "mproc_manager_connect: address has no path behind unix:");
    says(mproc_manager_connect(&manager, NULL, NULL, SECONDS), -EINVAL, "mproc_manager_connect: address is NULL");
    says(mproc_manager_register(NULL), -EINVAL,
         "mproc_manager_register: type or type.name is NULL, or the name is empty");
    assert_null(manager);
}

static void objects_of(mproc_manager *manager)
{
    mproc_dict *dict;
    mproc_list *list = NULL;
    mproc_set *set;
    mproc_namespace *names;
    mproc_variable *variable;
    mproc_array *array;
    mproc_remote *remote;
    mproc_object *object;
    assert_int_equal(mproc_manager_dict(manager, &dict, "ages", SECONDS), 0);
    says(mproc_manager_dict(manager, NULL, "a", SECONDS), -EINVAL, "mproc_manager_dict: dict is NULL");
    says(mproc_manager_dict(NULL, &dict, "a", SECONDS), -EINVAL, "mproc_manager_dict: manager is NULL");
    assert_int_equal(mproc_manager_dict(manager, &dict, "ages", SECONDS), 0);
    says(mproc_manager_list(manager, &list, "ages", SECONDS), -EEXIST,
         "mproc_manager_list: name is that of an object of another type");
    says(mproc_manager_set(manager, &set, "", SECONDS), -EINVAL,
         "mproc_manager_set: name is empty: NULL is for an object without one");
    says(mproc_manager_namespace(manager, &names, "a", WRONG_TIME), -EINVAL,
         "mproc_manager_namespace: timeout is negative");
    says(mproc_manager_variable(manager, NULL, "a", mproc_int(1), SECONDS), -EINVAL,
         "mproc_manager_variable: variable is NULL");
    says(mproc_manager_variable(manager, &variable, "a", mproc_object_value(manager), SECONDS), -EINVAL,
         "mproc_manager_variable: value is no value: its object is no shared object");
    says(mproc_manager_array(manager, &array, "a", 0, 4, SECONDS), -EINVAL, "mproc_manager_array: count is 0");
    says(mproc_manager_remote(manager, &remote, (enum mproc_remote_kind)3, 0, "a", SECONDS), -EINVAL,
         "mproc_manager_remote: kind is none of enum mproc_remote_kind");
    says(mproc_manager_object(manager, &object, "NoType", NULL, NULL, 0, SECONDS), MPROC_NOT_FOUND,
         "mproc_manager_object: the server has no type of that name: register it before the server starts");
    says(mproc_dict_add(dict, mproc_int(1), mproc_string("x"), NULL, SECONDS), -EINVAL,
         "mproc_dict_add: number is none");
    says(mproc_manager_save(manager, SECONDS), -EOPNOTSUPP,
         "mproc_manager_save: the server has no options.snapshot_file");
    says(mproc_manager_save(NULL, SECONDS), -EINVAL, "mproc_manager_save: manager is NULL");
    says(mproc_manager_forget(manager, NULL, SECONDS), -EINVAL, "mproc_manager_forget: name is NULL");
    assert_null(list);
    mproc_dict_free(dict);
}

static void remotes_of(mproc_manager *manager)
{
    mproc_remote *lock, *queue;
    mproc_batch *batch;
    mproc_value found;
    bool is_set;
    size_t size;
    mproc_call call = {.object = NULL, .method = "get"};
    assert_int_equal(mproc_manager_remote(manager, &lock, MPROC_REMOTE_LOCK, 0, "lock", SECONDS), 0);
    assert_int_equal(mproc_manager_remote(manager, &queue, MPROC_REMOTE_QUEUE, 0, "queue", SECONDS), 0);
    says(mproc_remote_acquire(NULL, SECONDS), -EINVAL,
         "mproc_remote_acquire: remote is NULL, or no remote object that is in use");
    says(mproc_remote_release(lock, SECONDS), -EPERM,
         "mproc_remote_release: this thread does not hold the lock of remote");
    says(mproc_remote_task_done(queue, SECONDS), -EINVAL,
         "mproc_remote_task_done: more is said to be done than was put into remote");
    says(mproc_remote_get(queue, NULL, SECONDS), -EINVAL, "mproc_remote_get: value is NULL");
    says(mproc_remote_get(queue, &found, WRONG_TIME), -EINVAL, "mproc_remote_get: timeout is negative");
    says(mproc_remote_is_set(lock, NULL, SECONDS), -EINVAL, "mproc_remote_is_set: is_set is NULL");
    says(mproc_remote_is_set(NULL, &is_set, SECONDS), -EINVAL,
         "mproc_remote_is_set: remote is NULL, or no remote object that is in use");
    says(mproc_remote_size(NULL, &size, SECONDS), -EINVAL,
         "mproc_remote_size: remote is NULL, or no remote object that is in use");
    says(mproc_object_call(NULL, "a", NULL, 0, NULL, SECONDS), -EINVAL,
         "mproc_object_call: the object is no proxy of a manager");
    says(mproc_manager_send(manager, &call, 1, &batch), -EINVAL,
         "mproc_manager_send: calls[0].object is no proxy of this manager");
    says(mproc_manager_call(manager, &call, 1, SECONDS), -EINVAL,
         "mproc_manager_call: calls[0].object is no proxy of this manager");
    says(mproc_manager_call(manager, NULL, 1, SECONDS), -EINVAL, "mproc_manager_call: calls is NULL");
    says(mproc_batch_wait(NULL, SECONDS), -EINVAL, "mproc_batch_wait: batch is NULL");
    mproc_remote_free(lock);
    mproc_remote_free(queue);
}

static void managers(void **state)
{
    mproc_manager *other = NULL;
    mproc_manager *manager = make_manager("unix:", NULL);
    (void)state;
    objects_of(manager);
    remotes_of(manager);
    says(mproc_manager_connect(&other, mproc_manager_address(manager),
                               &(mproc_manager_options){.key = "wrong", .key_size = 5}, SECONDS),
         MPROC_AUTH, "mproc_manager_connect: the server has another key, or is none");
    says(mproc_manager_shutdown(NULL, SECONDS), -EINVAL, "mproc_manager_shutdown: manager is NULL");
    assert_serves(manager);
    mproc_manager_free(manager);
}

static int make_first(void **state)
{
    return make_first_pool(state) || make_first_manager(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(processes), unit(groups), unit(another_process), unit(pools), unit(starts_of_managers), unit(managers),
    };
    return cmocka_run_group_tests(tests, make_first, NULL);
}
