/* Fresh processes: how they are executed, and how they become the child that their record describes. Called by spawn.c
 * and forkserver.c in the parent, by init.c and server.c in the fresh process. */
#include "process/fresh.h"

#include "arena/region.h"
#include "ipc/connection.h"
#include "os/allocate.h"
#include "os/descriptor.h"
#include "os/process.h"
#include "os/signal.h"
#include "process/child.h"
#include "process/executable.h"
#include "util/log.h"
#include <errno.h>
#include <mproc/memory.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int fresh_prepare(struct start *start, struct function_reference *function)
{
    if (!fresh_is_possible())
        return MPROC_NOT_INITIALIZED;
    if (function_refer(function, (function_address *)start->fn))
        return MPROC_NO_FUNCTION;
    if (start->arg && start->arg_size == 0 && !mproc_is_shared(start->arg))
        return MPROC_NOT_SHARED;
    int result = member_join();
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
        if (!sets(*at, FRESH_VARIABLE) && !sets(*at, GROUPS_VARIABLE))
            list[count++] = *at;
    list[count++] = spawn;
    if (groups)
        list[count++] = groups;
    list[count] = NULL;
    return list;
}

pid_t fresh_execute(const char *title, const char *groups, const int *fds, size_t count)
{
    char path[EXECUTABLE_PATH_SIZE];
    char spawn[64], marks[sizeof GROUPS_VARIABLE + GROUPS_SIZE], comment[PROCESS_NAME_SIZE + 2];
    char *argv[] = {program_invocation_name, comment, NULL};
    int result = executable_path(path);
    if (result)
        return result;
    snprintf(spawn, sizeof spawn, FRESH_VARIABLE "=%d", OS_FIRST_FD);
    snprintf(marks, sizeof marks, GROUPS_VARIABLE "=%s", groups);
    snprintf(comment, sizeof comment, "[%s]", title);
    char **environment = make_environment(spawn, groups[0] ? marks : NULL);
    if (!environment)
        return -ENOMEM;
    pid_t pid = os_spawn(path, argv, environment, fds, count);
    free(environment);
    return pid;
}

/* ---- in the fresh process ---- */

/* The connections that the child is handed; they stay where mproc_inherited_connection() finds them. */
static mproc_connection **adopt_connections(struct record *record, const int *fds)
{
    const unsigned char *at = record_connections(record);
    mproc_connection **adopted = os_malloc((record->start.connection_count + 1) * sizeof *adopted);
    if (!adopted)
        child_fail(record->start.name, mproc_strerror(-ENOMEM));
    for (size_t i = 0; i < record->start.connection_count; i++) {
        size_t size;
        memcpy(&size, at, sizeof size);
        int result = connection_adopt(&adopted[i], fds[i], at + sizeof size, size);
        if (result)
            child_fail(record->start.name, mproc_strerror(result));
        at += sizeof size + size;
    }
    return adopted;
}

_Noreturn void fresh_child(struct record *record, const struct fresh_descriptors *descriptors)
{
    struct start *start = &record->start;
    log_adopt(record->log);
    mproc_start_method_set((enum mproc_start_method)record->method);
    mproc_authkey_set(record->key, record->key_size);
    start->sentinel = descriptors->sentinel;
    start->leash = descriptors->leash;
    start->fn = (mproc_target *)(void *)function_find(&record->function);
    if (!start->fn)
        child_fail(start->name, "its function is in no object file that it has or can load");
    if (start->arg_size)
        start->arg = record_argument(record);
    start->connections = adopt_connections(record, descriptors->connections);
    start->connections_listed = true;
    child_run(start, os_signals_caught());
}
