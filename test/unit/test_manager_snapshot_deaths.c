/* Snapshots of managers when somebody dies, the disk is full, or the disk is slow: the file is whole, as it was or as
 * it was to be, and nobody waits who has nothing to do with it. */
#include "children.h"
#include "harness.h"
#include "managers.h"
#include "snapshots.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ELEMENTS = 1 << 16,
    LARGE = 8 << 20 /* bytes that take some time to write */
};

static int ask(void *manager)
{
    return mproc_manager_save(manager, SOON);
}

static mproc_array *array_of(mproc_manager *manager, size_t count, size_t element_size)
{
    mproc_array *array;
    assert_int_equal(mproc_manager_array(manager, &array, "array", count, element_size, SOON), 0);
    return array;
}

/* ---- the server is killed ---- */

struct progress {
    mproc_array *array;
    mproc_manager *manager;
    _Atomic(int) begun, saved; /* in shared memory */
};

/* Another number in all elements, again and again, and a save of each. */
static int save_without_rest(void *arg)
{
    struct progress *progress = arg;
    int32_t *elements = malloc(ELEMENTS * sizeof *elements);
    for (;;) {
        int number = ++progress->begun;
        for (int i = 0; i < ELEMENTS; i++)
            elements[i] = number;
        if (mproc_array_write(progress->array, 0, ELEMENTS, elements, SOON) ||
            mproc_manager_save(progress->manager, SOON))
            return 0; /* the server is gone */
        progress->saved = number;
    }
}

/* The one number that all elements have. */
static int number_in(mproc_array *array)
{
    int32_t *elements = malloc(ELEMENTS * sizeof *elements);
    assert_int_equal(mproc_array_read(array, 0, ELEMENTS, elements, SOON), 0);
    int number = elements[0];
    for (int i = 0; i < ELEMENTS; i++)
        if (elements[i] != number)
            fail();
    free(elements);
    return number;
}

static bool is_in_writing(void *arg)
{
    (void)arg;
    return is_being_written();
}

static void a_killed_server_leaves_the_old_file_or_the_new_one(void **state)
{
    enum {
        KILLS = 24
    };
    struct progress *progress = shared(sizeof *progress);

    (void)state;
    for (int i = 0; i < KILLS; i++) {
        progress->manager = start_with_snapshot(NULL);
        progress->array = array_of(progress->manager, ELEMENTS, sizeof(int32_t));
        int number = number_in(progress->array);
        assert_true(number >= progress->saved && number <= progress->begun);
        int before = progress->saved;
        pid_t child = child_start(save_without_rest, progress);
        await_value(&progress->saved, before + 1);
        if (i % 2)
            usleep((unsigned)(i * 1700 % 11000)); /* any moment will do */
        else
            assert_true(wait_until(is_in_writing, NULL, 20000));
        kill_server(progress->manager);
        assert_int_equal(child_finish(child), 0);
    }
    mproc_manager_free(start_with_snapshot(NULL));
    assert_only_the_snapshot_is_left();
    shared_free(progress);
    books_forgive();
}

/* ---- the process that writes is stopped, or killed ---- */

/* The letter that the kernel has for what it does; 0 when it is gone. */
static char state_of(pid_t process)
{
    char name[64], text[512] = "";
    snprintf(name, sizeof name, "/proc/%d/stat", (int)process);
    FILE *file = fopen(name, "re");
    if (!file)
        return 0;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    const char *end = size ? strrchr(text, ')') : NULL;
    return end ? end[2] : 0;
}

static bool is_stopped(pid_t process)
{
    return state_of(process) == 'T';
}

static bool has_writer(void *pid)
{
    return is_being_written() && writer_of(*(pid_t *)pid) != 0;
}

struct stopped {
    pid_t writer, asker;
};

/* Have a client ask, and stop the process that writes in the midst of it: one that was faster is not it. */
static struct stopped stop_a_writer(mproc_manager *manager)
{
    pid_t server = server_pid();
    struct stopped stopped;
    for (int i = 0; i < 200; i++) {
        stopped.asker = child_start(ask, manager);
        stopped.writer = wait_until(has_writer, &server, 10000) ? writer_of(server) : 0;
        if (stopped.writer && kill(stopped.writer, SIGSTOP) == 0) {
            while (writer_of(server) == stopped.writer && !is_stopped(stopped.writer))
                usleep(100);
            if (is_stopped(stopped.writer))
                return stopped;
        }
        assert_int_equal(child_finish(stopped.asker), 0);
    }
    fail();
    return stopped;
}

static mproc_manager *start_large(void)
{
    mproc_manager *manager = start_with_snapshot(NULL);
    array_of(manager, LARGE, 1);
    assert_int_equal(mproc_manager_save(manager, SOON), 0);
    return manager;
}

static void others_are_served_while_a_large_snapshot_is_written(void **state)
{
    (void)state;
    mproc_manager *manager = start_large();
    struct stopped stopped = stop_a_writer(manager);
    for (int i = 0; i < 50; i++)
        assert_serves(manager);
    assert_int_equal(mproc_manager_save(manager, MPROC_MS(50)), MPROC_TIMEOUT);
    mproc_manager *other = join_manager(manager);
    assert_serves(other);
    mproc_manager_free(other);
    assert_true(is_stopped(stopped.writer));
    assert_int_equal(kill(stopped.writer, SIGCONT), 0);
    assert_int_equal(child_finish(stopped.asker), 0);
    mproc_manager_free(manager);
}

static void a_killed_writer_is_an_error_of_that_save_only(void **state)
{
    struct stat before, after;

    (void)state;
    mproc_manager *manager = start_large();
    struct stopped stopped = stop_a_writer(manager);
    assert_int_equal(stat(snapshots_path(), &before), 0);
    assert_int_equal(kill(stopped.writer, SIGKILL), 0);
    assert_int_equal(child_finish(stopped.asker), MPROC_WORKER_DIED);
    assert_int_equal(stat(snapshots_path(), &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_serves(manager);
    assert_int_equal(mproc_manager_save(manager, SOON), 0);
    mproc_manager_free(manager);
    assert_only_the_snapshot_is_left();
    mproc_manager_free(start_with_snapshot(NULL));
}

/* What an old server has begun is not put in the place of what a new one wrote: the writer goes with its server, and
 * the new one does not begin before. */
static void a_writer_ends_with_its_server(void **state)
{
    mproc_dict *dict;

    (void)state;
    mproc_manager *manager = start_large();
    struct stopped stopped = stop_a_writer(manager);
    kill_server(manager);
    assert_int_equal(child_finish(stopped.asker), MPROC_SERVER_DIED);
    manager = start_with_snapshot(NULL);
    char left = state_of(stopped.writer);
    assert_true(left == 0 || left == 'Z' || left == 'X'); /* whoever inherits it may not have reaped it yet */
    assert_int_equal(mproc_manager_dict(manager, &dict, "new", SOON), 0);
    mproc_manager_free(manager);
    assert_only_the_snapshot_is_left();
}

/* ---- those who ask ---- */

static _Atomic(int) *saves; /* in shared memory */

static int make_nothing(void **object, const mproc_value *args, size_t count)
{
    (void)args;
    (void)count;
    *object = (void *)(uintptr_t)&saves;
    return 0;
}

static int count_save(void *object, mproc_value *state)
{
    (void)object;
    (void)state;
    ++*saves;
    return 0;
}

static int restore_nothing(void **object, const mproc_value *state)
{
    (void)state;
    return make_nothing(object, NULL, 0);
}

static void those_who_ask_meanwhile_have_one_more_writing_together(void **state)
{
    enum {
        ASKERS = 5
    };
    static const mproc_manager_type type = {
        .name = "Nothing", .construct = make_nothing, .save = count_save, .restore = restore_nothing};
    mproc_object *object;
    pid_t askers[ASKERS];

    (void)state;
    saves = shared(sizeof *saves);
    assert_int_equal(mproc_manager_register(&type), 0);
    mproc_manager *manager = start_large();
    assert_int_equal(mproc_manager_object(manager, &object, "Nothing", "it", NULL, 0, SOON), 0);
    struct stopped stopped = stop_a_writer(manager);
    int before = *saves;
    for (int i = 0; i < ASKERS; i++)
        askers[i] = child_start(ask, manager);
    for (int i = 0; i < ASKERS; i++)
        child_await_sleep(askers[i]); /* for an answer */
    assert_serves(manager);
    child_kill(askers[0]); /* one of them leaves */
    assert_int_equal(*saves, before);
    assert_int_equal(kill(stopped.writer, SIGCONT), 0);
    for (int i = 1; i < ASKERS; i++)
        assert_int_equal(child_finish(askers[i]), 0);
    assert_int_equal(child_finish(stopped.asker), 0);
    assert_int_equal(*saves, before + 1);
    mproc_manager_free(manager);
    shared_free((void *)saves);
    books_forgive(); /* the type */
}

/* ---- the disk is full ---- */

static int write_beyond_the_limit(void *arg)
{
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    mproc_dict *dict;

    (void)arg;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    mproc_manager *manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_manager_dict(manager, &dict, "dict", SOON), 0);
    assert_int_equal(mproc_manager_save(manager, SOON), 0);
    size_t small = snapshots_size();
    array_of(manager, LARGE, 1);
    assert_int_equal(mproc_manager_save(manager, SOON), -EFBIG);
    assert_int_equal(snapshots_size(), small);
    assert_only_the_snapshot_is_left_but_its_lock();
    assert_int_equal(mproc_manager_shutdown(manager, SOON), -EFBIG);
    assert_serves(manager); /* with all that it has */
    limit.rlim_cur = RLIM_INFINITY;
    assert_int_equal(prlimit(server_pid(), RLIMIT_FSIZE, &limit, NULL), 0);
    assert_int_equal(mproc_manager_shutdown(manager, SOON), 0);
    assert_true(snapshots_size() > LARGE);
    mproc_manager_free(manager);
    return 0;
}

static void where_the_file_cannot_grow_the_old_one_stays_and_so_does_the_server(void **state)
{
    (void)state;
    assert_int_equal(in_child(write_beyond_the_limit, NULL), 0);
    mproc_manager *manager = start_with_snapshot(NULL);
    assert_int_equal(mproc_array_count(array_of(manager, 1, 1)), LARGE);
    mproc_manager_free(manager);
}

#define snapshot(fn) cmocka_unit_test_setup_teardown(fn, snapshots_begin, snapshots_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        snapshot(a_killed_server_leaves_the_old_file_or_the_new_one),
        snapshot(others_are_served_while_a_large_snapshot_is_written),
        snapshot(a_killed_writer_is_an_error_of_that_save_only),
        snapshot(a_writer_ends_with_its_server),
        snapshot(those_who_ask_meanwhile_have_one_more_writing_together),
        snapshot(where_the_file_cannot_grow_the_old_one_stays_and_so_does_the_server),
    };
    return cmocka_run_group_tests(tests, make_first_manager, NULL);
}
