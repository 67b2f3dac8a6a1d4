/* Fresh runs of a program, as process.h says. */
#define _GNU_SOURCE
#include "os/process.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/signal.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is to be run, and with what. */
struct program {
    const char *path;
    char *const *argv;
    char *const *envp;
    const int *fds;
    size_t count;
};

/* ---- by posix_spawn() ---- */

static bool is_among(int fd, const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] == fd)
            return true;
    return false;
}

/* Move the descriptors to their places in the child: first those out of the way that lie where others will go, then
 * each to its place. A descriptor that is there already only loses its close-on-exec flag. */
static int place_descriptors(posix_spawn_file_actions_t *actions, const int *fds, size_t count)
{
    int end = OS_FIRST_FD + (int)count;
    int spare = end;
    int moved[OS_SPAWN_FDS];
    for (size_t i = 0; i < count; i++) {
        moved[i] = fds[i];
        if (fds[i] >= end || fds[i] == OS_FIRST_FD + (int)i)
            continue;
        while (is_among(spare, fds, count))
            spare++;
        moved[i] = spare++;
        int error = posix_spawn_file_actions_adddup2(actions, fds[i], moved[i]);
        if (error)
            return error;
    }
    for (size_t i = 0; i < count; i++) {
        int error = posix_spawn_file_actions_adddup2(actions, moved[i], OS_FIRST_FD + (int)i);
        if (error)
            return error;
    }
    return posix_spawn_file_actions_addclosefrom_np(actions, end);
}

static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, children;
    sigemptyset(&none);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &children);
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int spawn_with(const struct program *program, posix_spawn_file_actions_t *actions, pid_t *pid)
{
    posix_spawnattr_t attributes;
    int error = posix_spawnattr_init(&attributes);
    if (error)
        return error;
    error = place_descriptors(actions, program->fds, program->count);
    if (!error)
        error = set_signals(&attributes);
    if (!error)
        error = posix_spawn(pid, program->path, actions, &attributes, program->argv, program->envp);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static pid_t spawn(const struct program *program)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return -error;
    error = spawn_with(program, &actions, &pid);
    posix_spawn_file_actions_destroy(&actions);
    return error ? -error : pid;
}

/* ---- by a copy of this process ----
 *
 * The C library makes the child by clone3(). It does without where the kernel does not know the call, and fails where a
 * filter refuses it with EPERM. */

static void reset_signals(void)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    struct sigaction action;
    sigset_t none;
    for (int number = 1; number < NSIG; number++) /* none of the handlers may run once signals are not blocked */
        if (sigaction(number, NULL, &action) == 0 && (number == SIGCHLD || action.sa_handler != SIG_IGN))
            sigaction(number, &standard, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the copy, with all signals blocked: run the program, or write why that fails to a pipe. Async-signal-safe. */
static _Noreturn void become(const struct program *program, int failure)
{
    int copies[OS_SPAWN_FDS];
    int end = OS_FIRST_FD + (int)program->count;
    failure = fcntl(failure, F_DUPFD, end + 1);
    for (size_t i = 0; i < program->count; i++)
        copies[i] = fcntl(program->fds[i], F_DUPFD, end + 1);
    for (size_t i = 0; i < program->count; i++)
        dup2(copies[i], OS_FIRST_FD + (int)i);
    dup3(failure, end, O_CLOEXEC);
    os_close_from(end + 1);
    reset_signals();
    execve(program->path, program->argv, program->envp);
    int error = errno;
    ssize_t written = uncancelled_write(end, &error, sizeof error);
    _exit(written > 0 ? 127 : 126);
}

static pid_t copy_with(const struct program *program, const int failure[2])
{
    sigset_t before;
    os_signals_block(&before);
    long pid = syscall(SYS_clone, (unsigned long)SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        become(program, failure[1]);
    int error = errno;
    os_signals_restore(&before);
    return pid < 0 ? -error : (pid_t)pid;
}

static pid_t copy(const struct program *program)
{
    int failure[2], error = 0;
    if (pipe2(failure, O_CLOEXEC))
        return failed_call("pipe2");
    int kept = os_keep_pair(failure);
    if (kept)
        return kept;
    pid_t pid = copy_with(program, failure);
    uncancelled_close(failure[1]);
    ssize_t size = 0;
    if (pid > 0)
        do {
            size = uncancelled_read(failure[0], &error, sizeof error);
        } while (size < 0 && errno == EINTR);
    uncancelled_close(failure[0]);
    if (pid < 0 || size <= 0)
        return pid;
    while (uncancelled_waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return -error;
}

pid_t os_spawn(const char *path, char *const argv[], char *const envp[], const int *fds, size_t count)
{
    const struct program program = {path, argv, envp, fds, count};
    int fault = os_fault(OS_FORK);
    if (!fault)
        fault = os_fault(OS_EXEC);
    if (!fault && count > OS_SPAWN_FDS)
        fault = -EINVAL;
    if (fault)
        return fault;
    pid_t pid = spawn(&program);
    return pid == -EPERM ? copy(&program) : pid;
}
