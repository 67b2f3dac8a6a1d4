/* How a server ends without a client's asking, what it has saved by then, and how its clients find the next one. */
#include "children.h"
#include "harness.h"
#include "managers.h"
#include "processes.h"
#include "snapshots.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define saved(fn)                                                                                                      \
    {                                                                                                                  \
#fn, fn, snapshots_begin, snapshots_end, NULL                                                                  \
    }

static char address[100];

/* In the folder of the snapshot, which is empty then but for the server. */
static void choose_address(void)
{
    snprintf(address, sizeof address, "unix:%s.lock.s", snapshots_path());
}

static mproc_manager_options served_options(void)
{
    return (mproc_manager_options){
        .key = manager_key, .key_size = sizeof manager_key, .snapshot_file = snapshots_path()};
}

static mproc_manager_options client_options(void)
{
    return (mproc_manager_options){.key = manager_key, .key_size = sizeof manager_key};
}

static int serve_here(void *arg)
{
    const mproc_manager_options options = served_options();
    (void)arg;
    return mproc_manager_serve(address, &options);
}

static bool can_connect(void *arg)
{
    const mproc_manager_options options = client_options();
    return mproc_manager_connect(arg, address, &options, SOON) == 0;
}

static pid_t start_serving(child_function *serve, void *arg, mproc_manager **manager)
{
    choose_address();
    pid_t server = child_start(serve, arg);
    assert_true(wait_until(can_connect, manager, 20000));
    return server;
}

static mproc_dict *ages_of(mproc_manager *manager)
{
    mproc_dict *ages;
    assert_int_equal(mproc_manager_dict(manager, &ages, "ages", SOON), 0);
    return ages;
}

static void put_age(mproc_manager *manager, const char *name, int age)
{
    mproc_dict *ages = ages_of(manager);
    assert_int_equal(mproc_dict_set(ages, mproc_string(name), mproc_int(age), SOON), 0);
    mproc_dict_free(ages);
}

static int age_of(mproc_dict *ages, const char *name)
{
    mproc_value age;
    int result = mproc_dict_get(ages, mproc_string(name), &age, SOON);
    return result ? -result : (int)age.integer;
}

/* What another server finds in the file. */
static int snapshot_age(const char *name)
{
    mproc_manager *manager = start_with_snapshot(NULL);
    mproc_dict *ages = ages_of(manager);
    int age = age_of(ages, name);
    mproc_dict_free(ages);
    mproc_manager_free(manager);
    return age;
}

/* ---- signals ---- */

static void a_terminated_server_has_saved_what_it_acknowledged(void **state)
{
    (void)state;
    mproc_manager *manager = start_with_snapshot(NULL);
    put_age(manager, "Ada", 36);
    mproc_process *server = NULL;
    assert_int_equal(mproc_active_children(&server, 1), 1);
    assert_int_equal(mproc_process_terminate(server), 0);
    assert_int_equal(mproc_process_join(server, SOON), 0);
    int exitcode = -1;
    assert_int_equal(mproc_process_exitcode(server, &exitcode), 0);
    assert_int_equal(exitcode, 0);
    mproc_manager_free(manager);
    assert_int_equal(snapshot_age("Ada"), 36);
}

static void an_interrupt_is_for_the_program_and_not_for_its_server(void **state)
{
    (void)state;
    mproc_manager *manager = start_with_snapshot(NULL);
    assert_int_equal(kill(server_pid(), SIGINT), 0);
    assert_serves(manager);
    mproc_manager_free(manager);
}

static void assert_saves_at(int signal)
{
    mproc_manager *manager;
    pid_t server = start_serving(serve_here, NULL, &manager);
    put_age(manager, "Ada", signal);
    assert_int_equal(kill(server, signal), 0);
    assert_int_equal(child_finish(server), 0);
    mproc_manager_free(manager);
    assert_int_equal(snapshot_age("Ada"), signal);
}

static void a_serving_process_saves_at_each_signal_that_would_end_it(void **state)
{
    (void)state;
    assert_saves_at(SIGTERM);
    assert_saves_at(SIGINT);
}

static void handle(int number)
{
    (void)number;
}

static int stop_by_own_handler(void *arg)
{
    const int *ends = arg;
    struct sigaction now;
    mproc_manager_options options = served_options();
    options.stop_fd = ends[0];
    signal(SIGTERM, handle);
    signal(SIGINT, SIG_IGN);
    close(ends[1]);
    int result = mproc_manager_serve(address, &options);
    sigaction(SIGTERM, NULL, &now);
    bool is_kept = now.sa_handler == handle;
    sigaction(SIGINT, NULL, &now);
    return result ? 1 : is_kept && now.sa_handler == SIG_IGN ? 0 : 2;
}

static void a_program_keeps_its_own_handlers_and_stops_by_a_descriptor(void **state)
{
    (void)state;
    mproc_manager *manager;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t server = start_serving(stop_by_own_handler, ends, &manager);
    put_age(manager, "Ada", 36);
    assert_int_equal(kill(server, SIGTERM), 0);
    assert_int_equal(kill(server, SIGINT), 0);
    assert_serves(manager);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(child_finish(server), 0);
    close(ends[0]);
    close(ends[1]);
    mproc_manager_free(manager);
    assert_int_equal(snapshot_age("Ada"), 36);
}

static int serve_and_look(void *arg)
{
    struct sigaction now;
    int result = serve_here(arg);
    sigaction(SIGTERM, NULL, &now);
    return result ? 1 : now.sa_handler == SIG_DFL ? 0 : 2;
}

static void signals_are_as_they_were_when_a_server_has_ended(void **state)
{
    (void)state;
    mproc_manager *manager;
    pid_t server = start_serving(serve_and_look, NULL, &manager);
    assert_int_equal(mproc_manager_shutdown(manager, SOON), 0);
    assert_int_equal(child_finish(server), 0);
    mproc_manager_free(manager);
}

static int serve_until_end_of_file(void *arg)
{
    const int *ends = arg;
    mproc_manager_options options = served_options();
    options.stop_fd = ends[0];
    close(ends[1]);
    return mproc_manager_serve(address, &options);
}

static void a_server_ends_with_whoever_has_the_other_end_of_its_descriptor(void **state)
{
    (void)state;
    mproc_manager *manager;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t server = start_serving(serve_until_end_of_file, ends, &manager);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(child_finish(server), 0);
    mproc_manager_free(manager);
}

static void a_descriptor_that_cannot_be_waited_for_is_refused(void **state)
{
    (void)state;
    choose_address();
    mproc_manager_options options = client_options();
    options.stop_fd = 4000;
    assert_int_equal(mproc_manager_serve(address, &options), -EBADF);
    options.stop_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_int_equal(mproc_manager_serve(address, &options), -EINVAL);
    close(options.stop_fd);
    options.stop_fd = -3;
    assert_int_equal(mproc_manager_serve(address, &options), -EINVAL);
    assert_non_null(strstr(mproc_last_error(), "stop_fd"));
    assert_int_equal(access(address + strlen("unix:"), F_OK), -1);
}

static void a_descriptor_for_a_server_that_is_started_is_refused(void **state)
{
    (void)state;
    mproc_manager *manager;
    for (int fd = -3; fd <= 3; fd += 6) {
        const mproc_manager_options options = {.stop_fd = fd};
        assert_int_equal(mproc_manager_create(&manager, &options), -EINVAL);
        assert_null(manager);
        assert_non_null(strstr(mproc_last_error(), "stop_fd"));
    }
}

/* ---- what cannot be saved ---- */

static char obstacle[120];

/* The new file cannot be made where a folder is. */
static void put_obstacle(void)
{
    snprintf(obstacle, sizeof obstacle, "%s.new", snapshots_path());
    assert_int_equal(mkdir(obstacle, 0700), 0);
}

static void a_server_that_cannot_save_goes_on_until_it_can(void **state)
{
    (void)state;
    mproc_manager *manager;
    pid_t server = start_serving(serve_here, NULL, &manager);
    put_obstacle();
    assert_int_equal(kill(server, SIGTERM), 0);
    assert_serves(manager);
    put_age(manager, "Ada", 36);
    assert_int_equal(rmdir(obstacle), 0);
    assert_int_equal(child_finish(server), 0);
    mproc_manager_free(manager);
    assert_int_equal(snapshot_age("Ada"), 36);
}

static int serve_unsaved(void *arg)
{
    return serve_here(arg) == -EEXIST ? 0 : 1;
}

static void a_second_signal_ends_a_server_that_cannot_save(void **state)
{
    (void)state;
    mproc_manager *manager;
    pid_t server = start_serving(serve_unsaved, NULL, &manager);
    put_obstacle();
    assert_int_equal(kill(server, SIGTERM), 0);
    assert_serves(manager);
    usleep(300000); /* so that there are two for the server as well */
    assert_int_equal(kill(server, SIGTERM), 0);
    assert_int_equal(child_finish(server), 0);
    assert_int_equal(rmdir(obstacle), 0);
    mproc_manager_free(manager);
}

/* ---- by itself ---- */

static bool is_saved(void *arg)
{
    (void)arg;
    return access(snapshots_path(), F_OK) == 0;
}

static void what_has_changed_is_saved_at_intervals(void **state)
{
    (void)state;
    mproc_manager *manager =
        make_manager(NULL, &(mproc_manager_options){.snapshot_file = snapshots_path(), .save_interval = MPROC_MS(50)});
    put_age(manager, "Ada", 36);
    assert_true(wait_until(is_saved, NULL, 20000));
    kill_server(manager);
    assert_int_equal(snapshot_age("Ada"), 36);
}

static void what_has_not_changed_is_not_saved_again(void **state)
{
    struct stat before, after;
    (void)state;
    mproc_manager *manager =
        make_manager(NULL, &(mproc_manager_options){.snapshot_file = snapshots_path(), .save_interval = MPROC_MS(20)});
    put_age(manager, "Ada", 36);
    assert_true(wait_until(is_saved, NULL, 20000));
    assert_int_equal(mproc_manager_save(manager, SOON), 0);
    assert_int_equal(stat(snapshots_path(), &before), 0);
    for (int i = 0; i < 10; i++) {
        mproc_dict *ages;
        size_t length;
        assert_int_equal(mproc_manager_dict(manager, &ages, NULL, SOON), 0); /* this is a change */
        mproc_dict_free(ages);
        assert_int_equal(mproc_manager_save(manager, SOON), 0);
        assert_int_equal(stat(snapshots_path(), &before), 0);
        assert_int_equal(mproc_manager_dict(manager, &ages, NULL, SOON), 0);
        assert_int_equal(mproc_manager_save(manager, SOON), 0);
        assert_int_equal(stat(snapshots_path(), &before), 0);
        for (int k = 0; k < 5; k++) {
            usleep(10000);
            assert_int_equal(mproc_dict_length(ages, &length, SOON), 0); /* and this is none */
        }
        assert_int_equal(stat(snapshots_path(), &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        mproc_dict_free(ages);
    }
    mproc_manager_free(manager);
}

static void an_interval_needs_a_file(void **state)
{
    (void)state;
    mproc_manager *manager;
    mproc_manager_options options = client_options();
    options.save_interval = MPROC_SEC(1);
    assert_int_equal(mproc_manager_create(&manager, &options), -EINVAL);
    options.snapshot_file = snapshots_path();
    options.save_interval = MPROC_NS(-2);
    assert_int_equal(mproc_manager_create(&manager, &options), -EINVAL);
}

/* ---- the end of the program ---- */

enum {
    BY_EXIT,
    BY_RETURN_OF_QUICK_EXIT,
    BY_IMMEDIATE_EXIT,
    BY_KILL
};

static int leave_a_manager(void *arg)
{
    mproc_manager *manager = start_with_snapshot(NULL);
    put_age(manager, "Ada", 36);
    switch (*(const int *)arg) {
    case BY_EXIT:
        exit(0);
    case BY_RETURN_OF_QUICK_EXIT:
        quick_exit(0);
    case BY_IMMEDIATE_EXIT:
        _exit(0);
    default:
        return raise(SIGKILL);
    }
}

static bool nothing_is_in(void *folder)
{
    return rmdir(folder) == 0;
}

/* The server of one that was killed has a moment for its end. */
static void a_program_that_ends_leaves_what_was_acknowledged_and_no_folder(void **state)
{
    (void)state;
    for (int how = BY_EXIT; how <= BY_KILL; how++) {
        char folder[] = "/tmp/mproc-test-XXXXXX";
        assert_non_null(mkdtemp(folder));
        setenv("TMPDIR", folder, 1);
        assert_int_equal(in_child(leave_a_manager, &how), how == BY_KILL ? -SIGKILL : 0);
        unsetenv("TMPDIR");
        if (how == BY_EXIT)
            assert_true(nothing_is_in(folder));
        else
            assert_true(wait_until(nothing_is_in, folder, 20000));
        assert_int_equal(snapshot_age("Ada"), 36);
        assert_int_equal(unlink(snapshots_path()), 0);
    }
}

/* ---- keys ---- */

/* What it says where there is no key for it. */
static int serve_unkeyed(void *arg)
{
    return mproc_manager_serve(arg, NULL) == -EINVAL ? 0 : 1;
}

static int serve_for_a_moment(void *arg)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return 1;
    close(ends[1]);
    return mproc_manager_serve(arg, &(mproc_manager_options){.stop_fd = ends[0]}) ? 2 : 0;
}

/* In a child of each kind, which has its parent's key. */
static bool children_return_0(mproc_target *target)
{
    const enum mproc_start_method methods[] = {MPROC_START_FORK, MPROC_START_SPAWN, MPROC_START_FORKSERVER};
    for (size_t i = 0; i < 3; i++) {
        const mproc_process_options options = {.method = methods[i], .arg_size = sizeof address};
        mproc_process *process;
        int code = 1;
        if (mproc_process_start(&process, target, address, &options))
            return false;
        mproc_process_join(process, MPROC_FOREVER);
        mproc_process_exitcode(process, &code);
        mproc_process_free(process);
        if (code)
            return false;
    }
    return true;
}

/* A program that has just begun, for a family keeps its key. */
static int serve_without_a_key(const char *where)
{
    unsigned char key[256];
    size_t size;
    strcpy(address, where);
    if (serve_unkeyed(address))
        return 1;
    if (mproc_manager_serve(address, &(mproc_manager_options){.key_size = 3}) != -EINVAL)
        return 2;
    if (mproc_authkey_get(key, sizeof key, &size) || serve_unkeyed(address)) /* there is a random one now */
        return 3;
    if (!children_return_0(serve_unkeyed) || serve_unkeyed(address))
        return 4;
    if (mproc_authkey_set("key", 3) || serve_for_a_moment(address))
        return 5;
    return children_return_0(serve_for_a_moment) ? 0 : 6;
}

static void a_server_with_a_key_that_nobody_could_have_is_refused(void **state)
{
    (void)state;
    pid_t child = fork();
    choose_address();
    if (child == 0) {
        execl("/proc/self/exe", "test_manager_end", address, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(child_finish(child), 0);
}

/* ---- the next server ---- */

/* What a killed server had in the arena stays there, and its socket file. */
static void end_of_servers(pid_t server)
{
    if (server)
        child_kill(server);
    unlink(address + strlen("unix:"));
    books_forgive();
}

static void kill_and_serve_again(pid_t *server)
{
    child_kill(*server);
    *server = child_start(serve_here, NULL);
    mproc_manager *other;
    assert_true(wait_until(can_connect, &other, 20000));
    mproc_manager_free(other);
}

static void a_proxy_with_a_name_comes_back_by_itself(void **state)
{
    (void)state;
    mproc_manager *manager;
    mproc_remote *queue;
    size_t size;
    pid_t server = start_serving(serve_here, NULL, &manager);
    mproc_dict *ages = ages_of(manager);
    assert_int_equal(mproc_manager_remote(manager, &queue, MPROC_REMOTE_QUEUE, 0, "jobs", SOON), 0);
    assert_int_equal(mproc_dict_set(ages, mproc_string("Ada"), mproc_int(36), SOON), 0);
    assert_int_equal(mproc_remote_put(queue, mproc_int(5), SOON), 0);
    assert_int_equal(mproc_manager_save(manager, SOON), 0);
    for (int i = 0; i < 3; i++) {
        kill_and_serve_again(&server);
        assert_int_equal(age_of(ages, "Ada"), -MPROC_SERVER_DIED);
        assert_int_equal(age_of(ages, "Ada"), 36);
        assert_int_equal(mproc_remote_size(queue, &size, SOON), MPROC_SERVER_DIED);
        assert_int_equal(mproc_remote_size(queue, &size, SOON), 0);
        assert_int_equal(size, 1);
    }
    mproc_value item;
    assert_int_equal(mproc_remote_get(queue, &item, MPROC_NOWAIT), 0);
    assert_int_equal(item.integer, 5);
    mproc_remote_free(queue);
    mproc_dict_free(ages);
    mproc_manager_free(manager);
    end_of_servers(server);
}

/* Calls while nobody serves tell it, too, so the first one after that finds the new server. */
static void calls_go_on_when_there_is_a_server_again(void **state)
{
    (void)state;
    mproc_manager *manager;
    pid_t server = start_serving(serve_here, NULL, &manager);
    mproc_dict *ages = ages_of(manager), *same;
    put_age(manager, "Ada", 36);
    assert_int_equal(mproc_manager_save(manager, SOON), 0);
    child_kill(server);
    assert_int_equal(age_of(ages, "Ada"), -MPROC_SERVER_DIED);
    assert_int_equal(age_of(ages, "Ada"), -MPROC_SERVER_DIED);
    server = child_start(serve_here, NULL);
    mproc_manager *other;
    assert_true(wait_until(can_connect, &other, 20000));
    mproc_manager_free(other);
    assert_int_equal(age_of(ages, "Ada"), 36);
    same = ages_of(manager); /* beside the one that has come back */
    assert_int_equal(age_of(same, "Ada"), 36);
    mproc_dict_free(same);
    assert_int_equal(age_of(ages, "Ada"), 36);
    mproc_dict_free(ages);
    assert_int_equal(mproc_manager_shutdown(manager, SOON), 0);
    assert_int_equal(child_finish(server), 0);
    mproc_manager_free(manager);
    end_of_servers(0);
}

static void a_proxy_without_a_name_stays_without_its_object(void **state)
{
    (void)state;
    mproc_manager *manager;
    mproc_list *list, *new_list;
    size_t length;
    pid_t server = start_serving(serve_here, NULL, &manager);
    assert_int_equal(mproc_manager_list(manager, &list, NULL, SOON), 0);
    kill_and_serve_again(&server);
    assert_int_equal(mproc_list_length(list, &length, SOON), MPROC_SERVER_DIED);
    assert_int_equal(mproc_list_length(list, &length, SOON), MPROC_SERVER_DIED);
    /* Its number is another's by now. */
    assert_int_equal(mproc_manager_list(manager, &new_list, NULL, SOON), 0);
    mproc_dict *ages = ages_of(manager);
    assert_int_equal(mproc_dict_set(ages, mproc_string("list"), mproc_object_value(list), SOON), MPROC_SERVER_DIED);
    assert_int_equal(mproc_dict_set(ages, mproc_string("list"), mproc_object_value(new_list), SOON), 0);
    mproc_dict_free(ages);
    mproc_list_free(new_list);
    mproc_list_free(list);
    mproc_manager_free(manager);
    end_of_servers(server);
}

/* Also where a proxy is freed between the two steps. */
static void calls_in_two_steps_bring_named_proxies_back(void **state)
{
    (void)state;
    mproc_manager *manager;
    mproc_list *other;
    mproc_batch *batch;
    pid_t server = start_serving(serve_here, NULL, &manager);
    mproc_dict *ages = ages_of(manager);
    assert_int_equal(mproc_manager_list(manager, &other, NULL, SOON), 0);
    mproc_call calls[] = {{.object = ages, .method = "length"}, {.object = other, .method = "length"}};
    kill_and_serve_again(&server);
    assert_int_equal(mproc_manager_send(manager, calls, 2, &batch), 0);
    mproc_list_free(other);
    assert_int_equal(mproc_batch_wait(batch, SOON), 0);
    batch = mproc_batch_free(batch);
    assert_int_equal(calls[0].status, MPROC_SERVER_DIED);
    assert_int_equal(calls[1].status, MPROC_SERVER_DIED);
    assert_int_equal(mproc_manager_send(manager, calls, 1, &batch), 0);
    assert_int_equal(mproc_batch_wait(batch, SOON), 0);
    mproc_batch_free(batch);
    assert_int_equal(calls[0].status, 0);
    mproc_dict_free(ages);
    mproc_manager_free(manager);
    end_of_servers(server);
}

static void a_call_of_many_brings_named_proxies_back(void **state)
{
    (void)state;
    mproc_manager *manager;
    pid_t server = start_serving(serve_here, NULL, &manager);
    mproc_dict *ages = ages_of(manager);
    mproc_call calls[] = {{.object = ages, .method = "length"}};
    kill_and_serve_again(&server);
    assert_int_equal(mproc_manager_call(manager, calls, 1, SOON), 0);
    assert_int_equal(calls[0].status, MPROC_SERVER_DIED);
    assert_int_equal(mproc_manager_call(manager, calls, 1, SOON), 0);
    assert_int_equal(calls[0].status, 0);
    mproc_dict_free(ages);
    mproc_manager_free(manager);
    end_of_servers(server);
}

int main(int argc, char **argv)
{
    if (mproc_init())
        return 125;
    if (argc > 1)
        return serve_without_a_key(argv[1]);
    const struct CMUnitTest tests[] = {
        saved(a_terminated_server_has_saved_what_it_acknowledged),
        saved(an_interrupt_is_for_the_program_and_not_for_its_server),
        saved(a_serving_process_saves_at_each_signal_that_would_end_it),
        saved(a_program_keeps_its_own_handlers_and_stops_by_a_descriptor),
        saved(signals_are_as_they_were_when_a_server_has_ended),
        saved(a_server_ends_with_whoever_has_the_other_end_of_its_descriptor),
        saved(a_descriptor_that_cannot_be_waited_for_is_refused),
        saved(a_descriptor_for_a_server_that_is_started_is_refused),
        saved(a_server_that_cannot_save_goes_on_until_it_can),
        saved(a_second_signal_ends_a_server_that_cannot_save),
        saved(what_has_changed_is_saved_at_intervals),
        saved(what_has_not_changed_is_not_saved_again),
        saved(an_interval_needs_a_file),
        saved(a_program_that_ends_leaves_what_was_acknowledged_and_no_folder),
        saved(a_server_with_a_key_that_nobody_could_have_is_refused),
        saved(a_proxy_with_a_name_comes_back_by_itself),
        saved(calls_go_on_when_there_is_a_server_again),
        saved(a_proxy_without_a_name_stays_without_its_object),
        saved(a_call_of_many_brings_named_proxies_back),
        saved(calls_in_two_steps_bring_named_proxies_back),
    };
    return cmocka_run_group_tests(tests, make_first_manager, NULL);
}
