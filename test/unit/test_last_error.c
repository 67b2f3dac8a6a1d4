/* What mproc_last_error() says: function, argument or system call, and cause. That every function sets it is seen in
 * test/fault, where each meets failing system calls. */
#include "harness.h"
#include "util/failure.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void *ask(void *words)
{
    snprintf(words, 256, "%s", mproc_last_error());
    return NULL;
}

/* First in its process, before anything failed. */
static void there_are_words_before_any_failure(void **state)
{
    char words[256];
    pthread_t thread;
    (void)state;
    assert_int_equal(mproc_queue_create(NULL, NULL), -EINVAL);
    assert_int_equal(pthread_create(&thread, NULL, ask, words), 0);
    pthread_join(thread, NULL);
    assert_string_equal(words, "No function of mproc has failed in this thread");
    assert_string_equal(mproc_last_error(), "mproc_queue_create: queue is NULL");
}

static void an_argument_is_named(void **state)
{
    mproc_pool *pool;
    mproc_process *process;
    mproc_listener *listener;
    mproc_lock local;
    (void)state;
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.grace = {.nanoseconds = 5}}), -EINVAL);
    assert_string_equal(mproc_last_error(), "mproc_pool_create: options.grace is under 100 us: its unit is missing");
    assert_int_equal(mproc_process_start(&process, NULL, NULL, NULL), -EINVAL);
    assert_string_equal(mproc_last_error(), "mproc_process_start: fn is NULL");
    assert_int_equal(mproc_listener_create(&listener, "http://", NULL), -EINVAL);
    assert_string_equal(mproc_last_error(), "mproc_listener_create: address begins with neither unix: nor tcp:");
    assert_int_equal(mproc_lock_init(&local), MPROC_NOT_SHARED);
    assert_string_equal(mproc_last_error(), "mproc_lock_init: the address is not in shared memory; use mproc_alloc()");
}

static void a_system_call_is_named(void **state)
{
    mproc_connection *connection;
    (void)state;
    assert_int_equal(mproc_connect(&connection, "unix:/no/such/socket", NULL, MPROC_SEC(20)), -ENOENT);
    assert_int_equal(strncmp(mproc_last_error(), "mproc_connect: ", 15), 0);
    assert_non_null(strstr(mproc_last_error(), ": No such file or directory"));
    assert_true(strlen(mproc_last_error()) > strlen("mproc_connect: : No such file or directory"));
}

static void a_null_has_its_cause(void **state)
{
    (void)state;
    errno = 0;
    assert_null(mproc_alloc(0));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(strncmp(mproc_last_error(), "mproc_alloc: ", 13), 0);
    assert_null(mproc_calloc(SIZE_MAX, 2));
    assert_string_equal(mproc_last_error(), "mproc_calloc: count * size overflows");
}

static void the_outer_function_has_the_name(void **state)
{
    mproc_process *process;
    (void)state;
    assert_int_equal(mproc_pool_call(NULL, NULL, NULL, NULL, 0, NULL, 0, MPROC_FOREVER), -EINVAL);
    assert_int_equal(strncmp(mproc_last_error(), "mproc_pool_call: ", 17), 0);
    assert_int_equal(mproc_process_start(&process, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(strncmp(mproc_last_error(), "mproc_process_start: ", 21), 0);
}

/* What an earlier failure, of something else, was caused by is not the cause of this one. */
static void an_older_cause_is_not_retold(void **state)
{
    mproc_manager *manager;
    mproc_dict *dict;
    (void)state;
    assert_int_equal(mproc_pool_create(NULL, NULL), -EINVAL);
    assert_int_equal(mproc_manager_create(&manager, &(mproc_manager_options){.save_interval = MPROC_SEC(1)}), -EINVAL);
    assert_string_equal(mproc_last_error(),
                        "mproc_manager_create: options.save_interval needs an options.snapshot_file");
    assert_int_equal(mproc_dict_create_of(&dict, mproc_int(1)), -EINVAL);
    assert_string_equal(mproc_last_error(), "mproc_dict_create_of: map is no map");
    assert_int_equal(failure_retell("mproc_retold", failure_mark(), -EINVAL), -EINVAL);
    assert_string_equal(mproc_last_error(), "mproc_retold: Invalid argument");
}

static void success_free_and_plain_conditions_leave_it(void **state)
{
    mproc_queue *queue;
    long message;
    (void)state;
    assert_int_equal(mproc_queue_create(&queue, NULL), 0);
    assert_int_equal(mproc_semaphore_init(NULL, 0, 0), -EINVAL);
    char before[256];
    snprintf(before, sizeof before, "%s", mproc_last_error());
    assert_int_equal(mproc_queue_get(queue, &message, sizeof message, NULL, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_string_equal(mproc_last_error(), before);
    mproc_queue_free(queue);
    assert_string_equal(mproc_last_error(), before);
}

static void a_key_that_others_read_has_its_condition(void **state)
{
    char path[] = "/tmp/mproc-key-XXXXXX", key[16];
    size_t size;
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0 && write(fd, "secret", 6) == 6);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(mproc_key_from_file(path, key, sizeof key, &size), MPROC_KEY_EXPOSED);
    assert_non_null(strstr(mproc_last_error(), path));
    close(fd);
    unlink(path);
}

static char logged[1024];

static void keep_line(void *arg, int level, const char *process, const char *text)
{
    (void)arg;
    (void)process;
    if (level == MPROC_LOG_DEBUG)
        snprintf(logged, sizeof logged, "%s", text);
    mproc_queue_put(NULL, NULL, 0, MPROC_NOWAIT); /* a callback that fails itself is not called again for that */
}

static void the_log_has_it_at_debug(void **state)
{
    (void)state;
    assert_int_equal(mproc_log_to_callback(keep_line, NULL), 0);
    assert_int_equal(mproc_log_set_level(MPROC_LOG_DEBUG), 0);
    assert_int_equal(mproc_event_init(NULL), -EINVAL);
    mproc_log_set_level(MPROC_LOG_OFF);
    mproc_log_to_callback(NULL, NULL);
    assert_int_equal(strncmp(logged, "mproc_event_init: ", 18), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(there_are_words_before_any_failure),
        unit(an_argument_is_named),
        unit(a_system_call_is_named),
        unit(a_null_has_its_cause),
        unit(the_outer_function_has_the_name),
        unit(an_older_cause_is_not_retold),
        unit(success_free_and_plain_conditions_leave_it),
        unit(a_key_that_others_read_has_its_condition),
        unit(the_log_has_it_at_debug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
