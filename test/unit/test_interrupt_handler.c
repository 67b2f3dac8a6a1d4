/* Ctrl-C and the handler that a program has of its own: what becomes of it while there are pools that answer, and
 * afterwards. Each host is a child of the test, and tells by its exit code how far it came. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static enum mproc_interrupt interrupt;
static atomic_int caught;

static void note_signal(int number)
{
    (void)number;
    atomic_fetch_add(&caught, 1);
}

static mproc_pool *open_pool(void)
{
    mproc_pool *pool;
    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .method = pool_method, .interrupt = interrupt}))
        _exit(98);
    return pool;
}

static int map_one(mproc_pool *pool)
{
    long in = 3, out = 0;
    return mproc_pool_call(pool, square, NULL, &in, sizeof in, &out, sizeof out, MPROC_FOREVER);
}

static void must_end_well(mproc_target *host)
{
    int code = -1;
    mproc_process *process;
    assert_int_equal(mproc_process_start(&process, host, NULL, NULL), 0);
    assert_int_equal(mproc_process_join(process, MPROC_SEC(30)), 0);
    assert_int_equal(mproc_process_exitcode(process, &code), 0);
    assert_int_equal(code, 0);
    mproc_process_free(process);
}

/* ---- hosts ---- */

/* What nobody has answered is for the program. */
static int host_frees_before_it_answers(void *arg)
{
    (void)arg;
    signal(SIGINT, note_signal);
    mproc_pool *first = open_pool(), *second = open_pool();
    mproc_pool_free(first);
    raise(SIGINT);
    if (atomic_load(&caught) != 0)
        return 1;
    mproc_pool_free(second);
    if (atomic_load(&caught) != 1)
        return 2;
    raise(SIGINT);
    return atomic_load(&caught) == 2 ? 0 : 3;
}

static int answer(void)
{
    for (int i = 0; i < 3; i++) {
        mproc_pool *pool = open_pool();
        raise(SIGINT);
        if (map_one(pool) != MPROC_CLOSED)
            return 1;
        mproc_pool_free(pool);
    }
    if (atomic_load(&caught) != 0)
        return 2;
    raise(SIGINT);
    return atomic_load(&caught) == 1 ? 0 : 3;
}

static int host_answers(void *arg)
{
    (void)arg;
    signal(SIGINT, note_signal);
    return answer();
}

/* A handler that the program sets while there is a pool stays. */
static int host_changes_its_mind(void *arg)
{
    (void)arg;
    signal(SIGINT, SIG_DFL);
    mproc_pool *pool = open_pool();
    signal(SIGINT, note_signal);
    raise(SIGINT);
    if (map_one(pool) != 0)
        return 1;
    mproc_pool_free(pool);
    raise(SIGINT);
    return atomic_load(&caught) == 2 ? 0 : 2;
}

static int host_ignores(void *arg)
{
    (void)arg;
    signal(SIGINT, SIG_IGN);
    mproc_pool *pool = open_pool();
    for (int i = 0; i < 5; i++)
        raise(SIGINT);
    int result = map_one(pool);
    mproc_pool_free(pool);
    return result == 0 && signal(SIGINT, SIG_DFL) == SIG_IGN ? 0 : 1;
}

/* The copy has no pools, and one is enough for it. */
static int host_forks(void *arg)
{
    int status;
    (void)arg;
    signal(SIGINT, SIG_DFL);
    mproc_pool *pool = open_pool();
    pid_t copy = fork();
    if (copy == 0) {
        raise(SIGINT);
        _exit(7);
    }
    waitpid(copy, &status, 0);
    int result = map_one(pool);
    mproc_pool_free(pool);
    return result == 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGINT ? 0 : 1;
}

/* The copy has a pool of its own, and the program's handler comes back in it too. */
static int host_forks_another_host(void *arg)
{
    int status;
    (void)arg;
    signal(SIGINT, note_signal);
    mproc_pool *pool = open_pool();
    pid_t copy = fork();
    if (copy == 0)
        _exit(answer());
    waitpid(copy, &status, 0);
    int result = map_one(pool);
    mproc_pool_free(pool);
    return result ? 10 : WIFEXITED(status) ? WEXITSTATUS(status) : 11;
}

/* ---- tests ---- */

static void with_each_kind(mproc_target *host)
{
    interrupt = MPROC_INTERRUPT_DRAIN;
    must_end_well(host);
    interrupt = MPROC_INTERRUPT_TERMINATE;
    must_end_well(host);
}

static void an_unanswered_interrupt_comes_when_the_last_pool_goes(void **state)
{
    (void)state;
    with_each_kind(host_frees_before_it_answers);
}

static void the_handler_of_the_program_comes_back(void **state)
{
    (void)state;
    with_each_kind(host_answers);
}

static void a_handler_that_is_set_meanwhile_stays(void **state)
{
    (void)state;
    with_each_kind(host_changes_its_mind);
}

static void an_ignored_interrupt_stays_ignored(void **state)
{
    (void)state;
    with_each_kind(host_ignores);
}

static void a_forked_copy_of_the_host_dies_of_the_first(void **state)
{
    (void)state;
    with_each_kind(host_forks);
}

static void a_forked_copy_of_the_host_may_have_pools_that_answer(void **state)
{
    (void)state;
    with_each_kind(host_forks_another_host);
}

static void bad_input_is_refused(void **state)
{
    mproc_pool *pool = (mproc_pool *)&state;
    (void)state;
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.interrupt = (enum mproc_interrupt)3}), -EINVAL);
    assert_null(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(an_unanswered_interrupt_comes_when_the_last_pool_goes),
        unit(the_handler_of_the_program_comes_back),
        unit(a_handler_that_is_set_meanwhile_stays),
        unit(an_ignored_interrupt_stays_ignored),
        unit(a_forked_copy_of_the_host_dies_of_the_first),
        unit(a_forked_copy_of_the_host_may_have_pools_that_answer),
        unit(bad_input_is_refused),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
