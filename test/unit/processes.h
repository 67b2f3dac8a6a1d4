/* What the tests of processes share: starting with fewer words, hosts that can be killed, and the state of a process as
 * /proc shows it. */
#ifndef TEST_UNIT_PROCESSES_H
#define TEST_UNIT_PROCESSES_H

#include <mproc/process.h>
#include <stdatomic.h>
#include <stdbool.h>

enum {
    PATIENCE_MS = 20000 /* for what must happen, under whatever load */
};

/* For cmocka_run_group_tests(): use once what a process keeps for its life, so that it is no test's leak. With servers
 * the fork server too. */
int warm_up(void **state);
int warm_up_with_server(void **state);

/* Start, and fail the test if that fails. */
mproc_process *start(mproc_target *fn, void *arg, const mproc_process_options *options);

/* Join, look at the exit code, free. */
int finish(mproc_process *process);

/* start() and finish(). */
int run(mproc_target *fn, void *arg, const mproc_process_options *options);

/* A child that the library does not know runs the function and then exits as a program does, with exit handlers. */
pid_t program_start(mproc_target *fn, void *arg);

/* Targets. */
int sleep_for_ever(void *arg);
int return_int(void *arg); /* *(int *)arg */

/* Whether a process is gone, or a zombie. */
bool is_gone(pid_t pid);
bool await_gone(pid_t pid);

/* Wait until a word is not 0. */
bool await_word(const _Atomic(int) *word);

/* How many descriptors this process has open. */
int count_descriptors(void);

#endif
