/* The cases of every.h for managers. The server is another process, of which no call fails. A connection that a failure
 * takes away is made again within the call, so that mostly nothing is to be seen of it. */
#include "every.h"

#include <errno.h>
#include <mproc/manager.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TIME MPROC_SEC(20)

static const char key[] = "the key";
static const mproc_manager_options options = {.key = key, .key_size = sizeof key};
static mproc_manager *manager, *other;
static mproc_dict *dict;
static mproc_list *list;
static mproc_set *set;
static mproc_namespace *names;
static mproc_variable *variable;
static mproc_array *array;
static mproc_object *object;
static mproc_remote *lock, *event, *condition, *barrier, *queue, *made;
static mproc_value got;
static size_t number;
static bool flag;
static mproc_batch *batch;
static mproc_call one_call;

static int make_nothing(void **thing, const mproc_value *args, size_t count)
{
    (void)args;
    (void)count;
    *thing = &number;
    return 0;
}

static int say_one(void *thing, const mproc_value *args, size_t count, mproc_value *result)
{
    (void)thing;
    (void)args;
    (void)count;
    *result = mproc_int(1);
    return 0;
}

static const mproc_manager_method methods[] = {{"one", say_one}};
static const mproc_manager_type type = {
    .name = "Thing", .construct = make_nothing, .methods = methods, .method_count = 1};

static char snapshot_file[64];
static const mproc_manager_options saving_options = {
    .key = key, .key_size = sizeof key, .snapshot_file = snapshot_file};

/* ---- scenes ---- */

static void begin_none(void)
{
    manager = other = NULL;
    dict = NULL;
    list = NULL;
    set = NULL;
    names = NULL;
    variable = NULL;
    array = NULL;
    object = NULL;
    made = NULL;
    batch = NULL;
    got = mproc_nil();
}

static void begin_server(void)
{
    static bool is_registered;
    begin_none();
    if (!is_registered)
        every_must(mproc_manager_register(&type));
    is_registered = true;
    every_must(mproc_manager_create(&manager, &options));
}

static void remote(mproc_remote **thing, enum mproc_remote_kind kind, int64_t count)
{
    every_must(mproc_manager_remote(manager, thing, kind, count, NULL, TIME));
}

static void begin_whole(void)
{
    begin_server();
    every_must(mproc_manager_dict(manager, &dict, "name", TIME));
    every_must(mproc_manager_object(manager, &object, "Thing", NULL, NULL, 0, TIME));
    remote(&lock, MPROC_REMOTE_LOCK, 0);
    remote(&event, MPROC_REMOTE_EVENT, 0);
    remote(&condition, MPROC_REMOTE_CONDITION, 0);
    remote(&barrier, MPROC_REMOTE_BARRIER, 1);
    remote(&queue, MPROC_REMOTE_QUEUE, 0);
    every_must(mproc_remote_set(event, TIME));
}

static void begin_locked(void)
{
    begin_whole();
    every_must(mproc_remote_acquire(lock, TIME));
    every_must(mproc_remote_acquire(condition, TIME));
}

static void begin_put(void)
{
    begin_whole();
    every_must(mproc_remote_put(queue, mproc_int(1), TIME));
}

static void begin_sent(void)
{
    begin_whole();
    one_call = (mproc_call){.object = dict, .method = "length"};
    every_must(mproc_manager_send(manager, &one_call, 1, &batch));
}

static void begin_with_file(void)
{
    begin_none();
    snprintf(snapshot_file, sizeof snapshot_file, "/tmp/mproc-fault-snapshot-%d", (int)getpid());
    every_must(mproc_manager_create(&manager, &saving_options));
}

static void begin_saving(void)
{
    begin_with_file();
    every_must(mproc_manager_dict(manager, &dict, "name", TIME));
    every_must(mproc_dict_set(dict, mproc_int(1), mproc_string("text"), TIME));
}

/* A server that cannot be reached is killed, and what it has in the arena stays taken: this one has nothing there. */
static void begin_saved(void)
{
    begin_with_file();
    every_must(mproc_manager_remote(manager, &event, MPROC_REMOTE_EVENT, 0, "name", TIME));
    event = mproc_remote_free(event);
    manager = mproc_manager_free(manager);
}

static void look(long *seen)
{
    seen[0] = other != NULL;
    seen[1] = list != NULL || set != NULL || names != NULL || variable != NULL || array != NULL || made != NULL;
    seen[2] = (long)got.kind;
    seen[3] = batch != NULL;
}

static void end(void)
{
    mproc_value_free(&got);
    mproc_batch_free(batch);
    mproc_manager_free(other);
    mproc_manager_free(manager);
}

static void end_saving(void)
{
    end();
    every_must(unlink(snapshot_file));
}

static const struct every_scene none = {begin_none, look, end};
static const struct every_scene server = {begin_server, look, end};
static const struct every_scene whole = {begin_whole, look, end};
static const struct every_scene locked = {begin_locked, look, end};
static const struct every_scene sent = {begin_sent, look, end};
static const struct every_scene with_item = {begin_put, look, end};
static const struct every_scene saving = {begin_saving, look, end_saving};
static const struct every_scene saved = {begin_saved, look, end_saving};

/* ---- servers and clients ---- */

static int call_create(void)
{
    return mproc_manager_create(&manager, &options);
}

static int call_restore(void)
{
    return mproc_manager_create(&manager, &saving_options);
}

static int call_save(void)
{
    return mproc_manager_save(manager, TIME);
}

/* With a type that is handed over. */
static int call_create_by_spawn(void)
{
    mproc_manager_options fresh = options;
    fresh.method = MPROC_START_SPAWN;
    return mproc_manager_create(&other, &fresh);
}

static int call_connect(void)
{
    return mproc_manager_connect(&other, mproc_manager_address(manager), &options, TIME);
}

static int call_serve(void)
{
    return mproc_manager_serve("tcp:nowhere", &options);
}

static int call_address(void)
{
    return mproc_manager_address(manager) ? 0 : -1;
}

static int call_shutdown(void)
{
    return mproc_manager_shutdown(manager, TIME);
}

static int call_free(void)
{
    manager = mproc_manager_free(manager);
    return 0;
}

static int call_register(void)
{
    return mproc_manager_register(&type);
}

static int call_forget(void)
{
    return mproc_manager_forget(manager, "name", TIME);
}

/* ---- objects ---- */

static int call_dict(void)
{
    return mproc_manager_dict(manager, &dict, NULL, TIME);
}

static int call_list(void)
{
    return mproc_manager_list(manager, &list, NULL, TIME);
}

static int call_set(void)
{
    return mproc_manager_set(manager, &set, NULL, TIME);
}

static int call_namespace(void)
{
    return mproc_manager_namespace(manager, &names, NULL, TIME);
}

static int call_variable(void)
{
    return mproc_manager_variable(manager, &variable, NULL, mproc_string("text"), TIME);
}

static int call_array(void)
{
    return mproc_manager_array(manager, &array, NULL, 3, 4, TIME);
}

static int call_remote(void)
{
    return mproc_manager_remote(manager, &made, MPROC_REMOTE_RLOCK, 0, NULL, TIME);
}

static int call_object(void)
{
    return mproc_manager_object(manager, &object, "Thing", NULL, NULL, 0, TIME);
}

static int call_object_call(void)
{
    return mproc_object_call(object, "one", NULL, 0, NULL, TIME);
}

static int call_object_free(void)
{
    object = mproc_object_free(object);
    return 0;
}

static int call_remote_free(void)
{
    lock = mproc_remote_free(lock);
    return 0;
}

/* ---- locks, queues and the like ---- */

static int call_acquire(void)
{
    return mproc_remote_acquire(lock, TIME);
}

static int call_release(void)
{
    return mproc_remote_release(lock, TIME);
}

static int call_event_set(void)
{
    return mproc_remote_set(event, TIME);
}

static int call_event_clear(void)
{
    return mproc_remote_clear(event, TIME);
}

static int call_is_set(void)
{
    return mproc_remote_is_set(event, &flag, TIME);
}

static int call_wait(void)
{
    return mproc_remote_wait(event, TIME);
}

static int call_notify(void)
{
    return mproc_remote_notify(condition, 1, TIME);
}

static int call_abort(void)
{
    return mproc_remote_abort(barrier, TIME);
}

static int call_reset(void)
{
    return mproc_remote_reset(barrier, TIME);
}

static int call_put(void)
{
    return mproc_remote_put(queue, mproc_string("text"), TIME);
}

static int call_get(void)
{
    mproc_value_free(&got);
    return mproc_remote_get(queue, &got, TIME);
}

static int call_size(void)
{
    return mproc_remote_size(queue, &number, TIME);
}

static int call_task_done(void)
{
    return mproc_remote_task_done(queue, TIME);
}

static int call_join(void)
{
    return mproc_remote_join(queue, TIME);
}

/* ---- many calls at a time ---- */

static int call_call(void)
{
    one_call = (mproc_call){.object = dict, .method = "length"};
    int result = mproc_manager_call(manager, &one_call, 1, TIME);
    return result ? result : one_call.status;
}

static int call_send(void)
{
    one_call = (mproc_call){.object = dict, .method = "length"};
    return mproc_manager_send(manager, &one_call, 1, &batch);
}

static int call_batch_wait(void)
{
    int result = mproc_batch_wait(batch, TIME);
    return result ? result : one_call.status;
}

static int call_batch_free(void)
{
    batch = mproc_batch_free(batch);
    return 0;
}

/* What is held is released with the connection that is lost, and then another client might have it. */
#define LOST                                                                                                           \
    {                                                                                                                  \
        MPROC_SERVER_DIED, MPROC_OWNER_DIED, -EPERM                                                                    \
    }

/* The server's calls fail as well. */
#define CUT                                                                                                            \
    {                                                                                                                  \
        MPROC_SERVER_DIED, MPROC_CLOSED                                                                                \
    }

static const struct every_case cases[] = {
    {"mproc_manager_create", "fork", &none, call_create, 0, CHILD_MAY_NOT, .answers = CUT},
    {"mproc_manager_create", "from a snapshot", &saved, call_restore, 0, CHILD_MAY_NOT, .answers = CUT},
    {"mproc_manager_save", NULL, &saving, call_save, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_manager_shutdown", "with a snapshot", &saving, call_shutdown, 0, CHILD_MAY_NOT, .is_final = true,
     .answers = LOST},
    {"mproc_manager_create", "spawn", &server, call_create_by_spawn, 0, CHILD_MAY_NOT, .answers = CUT},
    {"mproc_manager_connect", NULL, &server, call_connect, 0, CHILD_MAY_NOT, .answers = CUT},
    {"mproc_manager_serve", NULL, &none, call_serve, -EINVAL, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_manager_address", NULL, &server, call_address, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_manager_shutdown", "without a snapshot", &server, call_shutdown, 0, CHILD_MAY_NOT, .is_final = true,
     .answers = LOST},
    {"mproc_manager_free", NULL, &server, call_free, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_manager_register", NULL, &server, call_register, -EEXIST, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_manager_forget", NULL, &whole, call_forget, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_manager_dict", NULL, &server, call_dict, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_manager_list", NULL, &server, call_list, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_manager_set", NULL, &server, call_set, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_manager_namespace", NULL, &server, call_namespace, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_manager_variable", NULL, &server, call_variable, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_manager_array", NULL, &server, call_array, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_manager_remote", NULL, &server, call_remote, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_manager_object", NULL, &server, call_object, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_object_call", NULL, &whole, call_object_call, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_object_free", NULL, &whole, call_object_free, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_remote_free", NULL, &whole, call_remote_free, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_remote_acquire", NULL, &whole, call_acquire, 0, CHILD_MAY_NOT, .is_final = true, .answers = LOST},
    {"mproc_remote_release", NULL, &locked, call_release, 0, CHILD_MAY_NOT, .is_final = true, .answers = LOST},
    {"mproc_remote_set", NULL, &whole, call_event_set, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_remote_clear", NULL, &whole, call_event_clear, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_remote_is_set", NULL, &whole, call_is_set, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_remote_wait", NULL, &whole, call_wait, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_remote_notify", NULL, &locked, call_notify, 0, CHILD_MAY_NOT, .is_final = true, .answers = LOST},
    {"mproc_remote_abort", NULL, &whole, call_abort, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_remote_reset", NULL, &whole, call_reset, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_remote_put", NULL, &whole, call_put, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_remote_get", NULL, &with_item, call_get, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_remote_size", NULL, &whole, call_size, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_remote_task_done", NULL, &with_item, call_task_done, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_remote_join", NULL, &whole, call_join, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_manager_call", NULL, &whole, call_call, 0, CHILD_MAY_NOT, .answers = LOST},
    {"mproc_manager_send", NULL, &whole, call_send, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_batch_wait", NULL, &sent, call_batch_wait, 0, CHILD_MAY_NOT, .is_final = true, .answers = LOST},
    {"mproc_batch_free", NULL, &sent, call_batch_free, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
};

const struct every_table cases_manager = {cases, sizeof cases / sizeof *cases};
