/* mproc_init(): what a fresh process does before its main() goes on. It finds out whether it was started by the
 * library, and becomes a child or the fork server, or returns at once. */
#include "arena/region.h"
#include "os/descriptor.h"
#include "os/process.h"
#include "process/child.h"
#include "process/fresh.h"
#include "process/server.h"
#include <mproc/base.h>
#include <stdlib.h>

static bool called;

bool fresh_is_possible(void)
{
    return called;
}

static _Noreturn void be_child(struct record *record, int sentinel)
{
    int connections[OS_SPAWN_FDS];
    int next = sentinel + 1;
    int leash = record->start.daemon ? next++ : -1;
    os_set_close_on_exec(sentinel);
    if (leash >= 0)
        os_set_close_on_exec(leash);
    for (size_t i = 0; i < record->start.connection_count; i++)
        connections[i] = next++;
    fresh_child(record, &(struct fresh_descriptors){sentinel, leash, connections});
}

/* The descriptors come in the order of spawn.c and forkserver.c. */
static _Noreturn void be_fresh(int first)
{
    enum {
        RECORD,
        ARENA,
        BELL,
        SENTINEL,
        SOCKET
    };
    for (int fd = first; os_is_open(fd); fd++)
        os_adopt(fd);
    struct record *record = record_read(first + RECORD);
    if (!record)
        child_fail("the process", "its start record is damaged");
    os_close(first + RECORD);
    int result = region_adopt(first + ARENA, first + BELL);
    if (result)
        child_fail(record->start.name, mproc_strerror(result));
    if (record->kind == RECORD_SERVER)
        server_run(record, first + SENTINEL, first + SOCKET);
    be_child(record, first + SENTINEL);
}

int mproc_init(void)
{
    const char *text = getenv(FRESH_VARIABLE);
    called = true;
    if (!text)
        return 0;
    if (!secure_getenv(FRESH_VARIABLE)) /* somebody else's environment is no ground for calling functions */
        child_fail("the process", "a program with a set-user-ID bit is not started this way");
    int first = atoi(text);
    unsetenv(FRESH_VARIABLE);
    be_fresh(first);
}
