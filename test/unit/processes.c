/* What the tests of processes share, see processes.h. */
#include "processes.h"

#include "harness.h"
#include "os/proc.h"
#include "process/forkserver.h"
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

int return_int(void *arg)
{
    return *(int *)arg;
}

int sleep_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

int warm_up(void **state)
{
    int zero = 0;
    (void)state;
    return run(return_int, &zero, &(mproc_process_options){.daemon = true, .method = MPROC_START_FORK});
}

int warm_up_with_server(void **state)
{
    int zero = 0;
    if (warm_up(state))
        return -1;
    int code =
        run(return_int, &zero, &(mproc_process_options){.arg_size = sizeof zero, .method = MPROC_START_FORKSERVER});
    books_allow_child(forkserver_pid());
    return code;
}

mproc_process *start(mproc_target *fn, void *arg, const mproc_process_options *options)
{
    mproc_process *process;
    assert_int_equal(mproc_process_start(&process, fn, arg, options), 0);
    assert_non_null(process);
    return process;
}

int finish(mproc_process *process)
{
    int exitcode = 1000;
    assert_int_equal(mproc_process_join(process, MPROC_MS(PATIENCE_MS)), 0);
    assert_int_equal(mproc_process_exitcode(process, &exitcode), 0);
    assert_false(mproc_process_is_alive(process));
    assert_null(mproc_process_free(process));
    return exitcode;
}

int run(mproc_target *fn, void *arg, const mproc_process_options *options)
{
    return finish(start(fn, arg, options));
}

pid_t program_start(mproc_target *fn, void *arg)
{
    pid_t pid = fork();
    if (pid == 0)
        exit(fn(arg));
    assert_true(pid > 0);
    return pid;
}

bool is_gone(pid_t pid)
{
    struct os_proc proc;
    return os_proc_read(pid, &proc) || proc.has_ended;
}

static bool is_gone_at(void *arg)
{
    return is_gone(*(pid_t *)arg);
}

bool await_gone(pid_t pid)
{
    return wait_until(is_gone_at, &pid, PATIENCE_MS);
}

static bool is_set(void *arg)
{
    return atomic_load((_Atomic(int) *)arg) != 0;
}

bool await_word(const _Atomic(int) *word)
{
    return wait_until(is_set, (void *)(uintptr_t)word, PATIENCE_MS);
}

int count_descriptors(void)
{
    int count = -1; /* the folder itself */
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}
