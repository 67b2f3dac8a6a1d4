/* The start method spawn: the child is a fresh run of the program. Called by start.c. The descriptors that it gets are,
 * in order: the record, the arena, the bell, the sentinel, the leash if there is one, the connections. init.c takes
 * them in the same order. */
#include "arena/region.h"
#include "ipc/connection.h"
#include "os/descriptor.h"
#include "os/process.h"
#include "process/fresh.h"
#include "process/streams.h"

_Static_assert(5 + CONNECTION_INHERITED <= OS_SPAWN_FDS, "a child can be given all its descriptors");

static pid_t execute(const struct start *start, int record)
{
    int fds[OS_SPAWN_FDS] = {record, region.fd, region.bell, start->sentinel};
    size_t count = 4;
    if (start->leash >= 0)
        fds[count++] = start->leash;
    for (size_t i = 0; i < start->connection_count; i++)
        fds[count++] = connection_fd(start->connections[i]);
    return fresh_execute(start->name, start->groups, fds, count);
}

pid_t start_spawn(struct start *start, int *condition)
{
    struct function_reference function;
    int result = fresh_prepare(start, &function);
    if (result > 0)
        *condition = result;
    if (result)
        return result > 0 ? 0 : result;
    int record = record_of_child(start, &function, NULL);
    if (record < 0)
        return record;
    streams_flush();
    pid_t pid = execute(start, record);
    os_close(record);
    return pid;
}
