/* What a process is started with, whatever the method. */
#include "harness.h"
#include "processes.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static const enum mproc_start_method methods[] = {MPROC_START_FORK, MPROC_START_SPAWN, MPROC_START_FORKSERVER};

static int interrupt_self(void *arg)
{
    (void)arg;
    if (system("kill -INT $$")) /* what it executes ignores it too */
        return 1;
    raise(SIGINT);
    return 5;
}

static void a_child_ignores_an_interrupt_that_is_its_parents_matter(void **state)
{
    struct sigaction own;
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        const mproc_process_options options = {.method = methods[i], .ignore_interrupt = true};
        assert_int_equal(run(interrupt_self, NULL, &options), 5);
        mproc_process *process = start(sleep_for_ever, NULL, &(mproc_process_options){.method = methods[i]});
        assert_int_equal(mproc_process_interrupt(process), 0);
        assert_int_equal(finish(process), -SIGINT);
    }
    sigaction(SIGINT, NULL, &own);
    assert_ptr_equal(own.sa_handler, SIG_DFL);
}

static int show_name(void *arg)
{
    char shown[16];
    return prctl(PR_GET_NAME, shown) == 0 && strcmp(shown, arg) == 0 ? 0 : 1;
}

static void ps_shows_the_name_of_a_child(void **state)
{
    const char *const names[][2] = {
        {"reader", "reader"},
        {"a name that is longer", "a name that is "},
        {"fünfzehn Äußerß", "fünfzehn Äuß"},
        {"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac 12\xe2\x82\xac",
         "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac 12"},
    };
    char own[16];
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            const mproc_process_options options = {
                .method = methods[i], .name = names[k][0], .arg_size = strlen(names[k][1]) + 1};
            assert_int_equal(run(show_name, (void *)(uintptr_t)names[k][1], &options), 0);
        }
    }
    assert_int_equal(prctl(PR_GET_NAME, own), 0);
    assert_string_not_equal(own, "reader");
}

int main(void)
{
    mproc_init();
    const struct CMUnitTest tests[] = {
        unit(a_child_ignores_an_interrupt_that_is_its_parents_matter),
        unit(ps_shows_the_name_of_a_child),
    };
    return cmocka_run_group_tests(tests, warm_up_with_server, NULL);
}
