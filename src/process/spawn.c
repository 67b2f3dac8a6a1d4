/* The start method spawn: the child is a fresh run of the program. The descriptors that it gets are, in order: the
 * record, the arena, the bell, the sentinel, the leash and the gate if there is one, the connections. init.c takes them
 * in the same order. */
#include "arena/region.h"
#include "connection/connection.h"
#include "os/descriptor.h"
#include "os/process.h"
#include "process/exec_child.h"
#include "process/executable.h"
#include "process/streams.h"

_Static_assert(8 + CONNECTION_INHERITED <= OS_SPAWN_FDS, "a child can be given all its descriptors");

/* The first run of a program is waited for: it shows whether a fresh run gets to mproc_init(). */
static pid_t spawn_execute(const struct start *start, int record, int *condition)
{
    struct exec_child_run run = {.title = start->name,
                                 .groups = start->groups,
                                 .fds = {record, region.fd, region.bell, start->sentinel},
                                 .count = 4,
                                 .is_awaited = !executable_is_proven()};
    if (start->leash >= 0)
        run.fds[run.count++] = start->leash;
    if (start->gate >= 0)
        run.fds[run.count++] = start->gate;
    if (start->words_file >= 0)
        run.fds[run.count++] = start->words_file;
    for (size_t i = 0; i < start->connection_count; i++)
        run.fds[run.count++] = connection_fd(start->connections[i]);
    return exec_child_execute(&run, condition);
}

pid_t start_spawn(struct start *start, int *condition)
{
    struct function_reference function;
    int result = exec_child_prepare(start, &function);
    if (!result && function_is_gone((function_address *)start->fn))
        result = MPROC_NO_FUNCTION;
    if (result > 0)
        *condition = result;
    if (result)
        return result > 0 ? 0 : result;
    int record = start_record_of_child(start, &function, NULL);
    if (record < 0)
        return record;
    streams_flush();
    pid_t pid = spawn_execute(start, record, condition);
    os_close(record);
    return pid;
}
