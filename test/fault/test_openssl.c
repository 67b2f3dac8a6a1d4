/* A machine without OpenSSL. Each test is a child of its own, for a process looks for the libraries once. */
#include "crypto/openssl.h"
#include "harness.h"
#include "plan.h"

#include <errno.h>
#include <mproc/listener.h>
#include <mproc/manager.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY .key = "the key", .key_size = 7

/* What holds in a child that has not loaded the libraries yet, where they are there or not. */
static void expect(bool (*holds)(void), bool are_there)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (!are_there)
            fault_arm(OS_LOAD, 0, ELIBACC);
        _exit(holds() ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    fault_disarm();
    assert_int_equal(status, 0);
}

static bool keys_are_refused(void)
{
    const mproc_manager_options options = {KEY};
    mproc_listener *listener;
    mproc_connection *connection;
    mproc_manager *manager;

    return mproc_listener_create(&listener, "tcp::0", &(mproc_listener_options){KEY}) == -ELIBACC &&
           mproc_connect(&connection, "unix:/nowhere", &(mproc_connect_options){KEY}, MPROC_NOWAIT) == -ELIBACC &&
           mproc_manager_create(&manager, &options) == -ELIBACC &&
           mproc_manager_serve("tls::0", &options) == -ELIBACC &&
           mproc_manager_connect(&manager, "tls::1", &options, MPROC_NOWAIT) == -ELIBACC;
}

static void without_openssl_each_call_that_takes_a_key_says_so(void **state)
{
    (void)state;
    expect(keys_are_refused, false);
}

static bool a_listener_without_a_key_opens(void)
{
    mproc_listener *listener;
    bool opens = mproc_listener_create(&listener, "unix:", NULL) == 0;

    mproc_listener_free(listener);
    return opens;
}

static void without_a_key_openssl_is_not_looked_for(void **state)
{
    (void)state;
    fault_reset();
    expect(a_listener_without_a_key_opens, false);
    assert_int_equal(fault_count(OS_LOAD), 0);
}

static void *load(void *arg)
{
    *(int *)arg = os_openssl_load();
    return NULL;
}

static bool all_threads_have_it(void)
{
    enum {
        THREADS = 8
    };
    pthread_t threads[THREADS];
    int results[THREADS];
    bool all = true;

    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, load, &results[i]))
            return false;
    for (int i = 0; i < THREADS; i++)
        all = pthread_join(threads[i], NULL) == 0 && results[i] == 0 && all;
    return all && fault_count(OS_LOAD) == 1;
}

static void threads_that_need_openssl_load_it_once(void **state)
{
    (void)state;
    fault_reset();
    expect(all_threads_have_it, true);
}

static bool a_child_has_it_too(void)
{
    int status;

    if (os_openssl_load())
        return false;
    pid_t child = fork();
    if (child == 0)
        _exit(os_openssl_load() == 0 && os_openssl->CRYPTO_memcmp("key", "key", 3) == 0 ? 0 : 1);
    return waitpid(child, &status, 0) == child && status == 0 && fault_count(OS_LOAD) == 1;
}

static void a_forked_child_goes_on_with_openssl(void **state)
{
    (void)state;
    fault_reset();
    expect(a_child_has_it_too, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(without_openssl_each_call_that_takes_a_key_says_so),
        unit(without_a_key_openssl_is_not_looked_for),
        unit(threads_that_need_openssl_load_it_once),
        unit(a_forked_child_goes_on_with_openssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
