/* Fresh processes: how they are executed, and how they become the child that their record describes. */
#include "process/exec_child.h"

#include "arena/region.h"
#include "base/log.h"
#include "connection/connection.h"
#include "os/allocate.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/pidfd.h"
#include "os/poll.h"
#include "os/process.h"
#include "os/say.h"
#include "os/signal.h"
#include "os/socket.h"
#include "os/supervise.h"
#include "process/child.h"
#include "process/executable.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/memory.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* How long a fresh run may take to get to mproc_init(). */
#define REPORT_TIME OS_SEC(60)

int exec_child_prepare(struct start *start, struct function_reference *function)
{
    int result = exec_child_check();
    if (result)
        return result;
    if (function_refer(function, (function_address *)start->fn))
        return MPROC_NO_FUNCTION;
    if (start->arg && start->arg_size == 0 && !mproc_is_shared(start->arg))
        return MPROC_NOT_SHARED;
    result = member_join();
    region_share();
    start->parent = member_current();
    return result;
}

/* ---- in the parent ---- */

static size_t count_strings(char *const *strings)
{
    size_t count = 0;
    while (strings && strings[count])
        count++;
    return count;
}

static bool sets(const char *string, const char *variable)
{
    size_t length = strlen(variable);
    return strncmp(string, variable, length) == 0 && string[length] == '=';
}

/* This process's environment with two variables more; the strings are not copied. */
static char **make_environment(char *spawn, char *groups)
{
    char **list = os_malloc((count_strings(environ) + 3) * sizeof *list);
    size_t count = 0;
    if (!list)
        return NULL;
    for (char *const *at = environ; at && *at; at++)
        if (!sets(*at, EXEC_CHILD_VARIABLE) && !sets(*at, GROUPS_VARIABLE))
            list[count++] = *at;
    list[count++] = spawn;
    if (groups)
        list[count++] = groups;
    list[count] = NULL;
    return list;
}

/* report: the socket for it, or -1. */
static pid_t execute(const struct exec_child_run *run, const struct executable *executable, int report)
{
    int fds[OS_SPAWN_FDS];
    size_t fd_count = run->count;
    char spawn[64], marks[sizeof GROUPS_VARIABLE + GROUPS_SIZE], comment[PROCESS_NAME_SIZE + 2];
    char *argv[EXECUTABLE_ARGUMENTS_MAX + 2];
    size_t count = 0;
    for (; executable->arguments[count]; count++)
        argv[count] = (char *)(uintptr_t)executable->arguments[count];
    argv[count] = comment;
    argv[count + 1] = NULL;
    memcpy(fds, run->fds, run->count * sizeof *fds);
    snprintf(spawn, sizeof spawn, EXEC_CHILD_VARIABLE "=%d", OS_FIRST_FD);
    if (report >= 0) {
        fds[fd_count++] = report;
        snprintf(spawn, sizeof spawn, EXEC_CHILD_VARIABLE "=%d:%d", OS_FIRST_FD, OS_FIRST_FD + (int)run->count);
    }
    snprintf(marks, sizeof marks, GROUPS_VARIABLE "=%s", run->groups);
    snprintf(comment, sizeof comment, "[%s]", run->title);
    char **environment = make_environment(spawn, run->groups[0] ? marks : NULL);
    if (!environment)
        return -ENOMEM;
    pid_t pid = os_spawn(executable->path, argv, environment, fds, fd_count);
    free(environment);
    return pid;
}

/* What the run reports: 0, a condition or -errno; MPROC_NOT_INITIALIZED: nothing, and it ends, or has had long enough.
 * Its end is looked for too, because a process that it has started may keep the report open. */
static int await_report(pid_t pid, int fd)
{
    struct pollfd input = {.fd = fd, .events = POLLIN};
    int64_t end = os_now() + REPORT_TIME;
    int32_t report;
    while (os_now() < end) {
        bool has_ended = os_child_has_ended(pid);
        ssize_t size = os_socket_receive(fd, &report, sizeof report);
        if (size == (ssize_t)sizeof report)
            return report;
        if (size == 0 || has_ended)
            break;
        os_poll(&input, 1, OS_TICK);
    }
    return MPROC_NOT_INITIALIZED;
}

/* Only this line tells what has happened: the run has said nothing, or something of its own. */
static void complain(const struct exec_child_run *run, const char *program, int exit)
{
    char how[32] = "did not end";
    if (exit != -SIGKILL)
        snprintf(how, sizeof how, exit < 0 ? "ended by signal %d" : "ended with code %d", exit < 0 ? -exit : exit);
    os_say("mproc: %s cannot be started: a fresh run of %s %s, and did not get to mproc_init(), "
           "which is to be called first thing in main()\n",
           run->title, program, how);
}

static pid_t settle(const struct exec_child_run *run, const struct executable *executable, pid_t pid, int report,
                    int *condition)
{
    int exit = 0;
    int result = await_report(pid, report);
    if (!result) {
        executable_prove();
        return pid;
    }
    if (os_is_child(pid)) /* nobody has reaped it, as one that ignores SIGCHLD would */
        os_signal_child(pid, SIGKILL);
    if (os_reap(pid, &exit) == 0 && result == MPROC_NOT_INITIALIZED)
        complain(run, executable->program[0] ? executable->program : executable->path, exit);
    (void)failure(result, "a fresh run of %s did not become a child: see stderr",
                  executable->program[0] ? executable->program : executable->path);
    if (result < 0)
        return result;
    *condition = result;
    return 0;
}

static pid_t execute_and_wait(const struct exec_child_run *run, const struct executable *executable, int *condition)
{
    int ends[2];
    pid_t pid = os_socket_pair(ends);
    if (pid)
        return pid;
    pid = execute(run, executable, ends[1]);
    os_close(ends[1]);
    if (pid > 0)
        pid = settle(run, executable, pid, ends[0], condition);
    os_close(ends[0]);
    return pid;
}

pid_t exec_child_execute(const struct exec_child_run *run, int *condition)
{
    struct executable executable = {.program = ""};
    int result = executable_find(&executable);
    if (result)
        return result;
    return run->is_awaited ? execute_and_wait(run, &executable, condition) : execute(run, &executable, -1);
}

/* ---- in the fresh process ---- */

static int report_socket = -1; /* while somebody waits for the report */

int exec_child_take_variable(void)
{
    const char *text = getenv(EXEC_CHILD_VARIABLE);
    if (!text)
        return 0;
    int first = -1, report = -1, size = 0;
    bool is_whole = sscanf(text, "%d%n:%d%n", &first, &size, &report, &size) > 0 && text[size] == '\0' && first > 2;
    if (is_whole)
        report_socket = report;
    else
        os_say("mproc: the environment variable " EXEC_CHILD_VARIABLE " is ignored: it is no user's to set\n");
    unsetenv(EXEC_CHILD_VARIABLE); /* what the process starts itself must not find it */
    return is_whole ? first : 0;
}

void exec_child_report(int result)
{
    const int32_t message = result;
    struct iovec part = {.iov_base = (void *)(uintptr_t)&message, .iov_len = sizeof message};
    if (report_socket < 0)
        return;
    while (os_socket_send(report_socket, &part, 1) == -EINTR)
        ;
    os_close(report_socket);
    report_socket = -1;
}

_Noreturn void exec_child_fail(const char *name, int result, const char *reason)
{
    exec_child_report(result);
    child_fail(name, reason);
}

/* The connections that the child is handed; they stay where mproc_inherited_connection() finds them. */
static mproc_connection **adopt_connections(struct start_record *record, const int *fds)
{
    const unsigned char *at = start_record_connections(record);
    mproc_connection **adopted = os_malloc((record->start.connection_count + 1) * sizeof *adopted);
    if (!adopted)
        exec_child_fail(record->start.name, -ENOMEM, mproc_strerror(-ENOMEM));
    for (size_t i = 0; i < record->start.connection_count; i++) {
        size_t size;
        memcpy(&size, at, sizeof size);
        int result = connection_adopt(&adopted[i], fds[i], at + sizeof size, size);
        if (result)
            exec_child_fail(record->start.name, result, mproc_strerror(result));
        at += sizeof size + size;
    }
    return adopted;
}

_Noreturn void fresh_child(struct start_record *record, const struct exec_child_descriptors *descriptors)
{
    struct start *start = &record->start;
    log_adopt(record->log);
    mproc_start_method_set((enum mproc_start_method)record->method);
    if (authkey_adopt(record->key, record->key_size, record->key_is_given))
        exec_child_fail(start->name, -ENOMEM, mproc_strerror(-ENOMEM));
    start->sentinel = descriptors->sentinel;
    start->leash = descriptors->leash;
    start->gate = descriptors->gate;
    start->words_file = descriptors->words;
    start->words = NULL;
    start->fn = (mproc_target *)(void *)function_find(&record->function);
    if (!start->fn)
        exec_child_fail(start->name, MPROC_NO_FUNCTION, "its function is in no object file that it has or can load");
    if (start->arg_size)
        start->arg = start_record_argument(record);
    start->connections = adopt_connections(record, descriptors->connections);
    start->connections_listed = true;
    exec_child_report(0);
    child_run(start, os_signals_with_children(os_signals_look()));
}
