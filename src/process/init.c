/* mproc_init(): what a fresh process does before its main() goes on. It finds out whether it was started by the
 * library, and becomes a child or the fork server, or returns at once. */
#include "arena/region.h"
#include "os/descriptor.h"
#include "os/process.h"
#include "os/program.h"
#include "process/child.h"
#include "process/exec_child.h"
#include "process/executable.h"
#include "process/forkserver_main.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/base.h>
#include <stdlib.h>
#include <unistd.h>

static const void *called_from; /* where mproc_init() was called, first; or NULL */
static int first_descriptor;    /* of a process that was executed to be a child or a server; or 0 */
static pid_t executed;          /* that process */

/* A program that ends without it has done something else than what it was started for. */
static void complain(void)
{
    if (called_from || getpid() != executed)
        return;
    child_fail("the process", "main() ended before it called mproc_init(), which is to come first");
}

/* Before main(), where the library comes with the program. */
__attribute__((constructor)) static void notice(void)
{
    first_descriptor = exec_child_take_variable();
    executed = getpid();
    if (first_descriptor)
        atexit(complain);
}

/* Whether mproc_init() and the call to it come with the program, so that a fresh run has them too. What dlopen() has
 * loaded, as an interpreter does, comes only when the program is told to load it, and a fresh run is not. */
static bool is_at_home(void)
{
    static _Atomic(int) known; /* 0: not yet */
    int found = load_relaxed(&known);
    if (!found) {
        found = os_program_includes(called_from) && os_program_includes((const void *)(uintptr_t)mproc_init) ? 1 : -1;
        store_relaxed(&known, found);
    }
    return found > 0;
}

int exec_child_check(void)
{
    if (executable_is_chosen())
        return 0;
    if (os_program_is_privileged())
        return failure(-EPERM, "a program with a set-user-ID bit or with capabilities of its file can start processes "
                               "by fork only: a fresh run of it trusts no environment");
    if (!called_from)
        return failure(MPROC_NOT_INITIALIZED, "the program has not called mproc_init()");
    if (is_at_home())
        return 0;
    return failure(MPROC_NOT_INITIALIZED,
                   "mproc_init() was called by what dlopen() has loaded, so a fresh run of the program would not get "
                   "there: start processes by fork, or choose a program by mproc_executable_set()");
}

static _Noreturn void be_child(struct start_record *record, int sentinel)
{
    int connections[OS_SPAWN_FDS];
    int next = sentinel + 1;
    int leash = record->start.daemon ? next++ : -1;
    int gate = record->start.gate >= 0 ? next++ : -1;
    int words = record->start.words_file >= 0 ? next++ : -1;
    os_set_close_on_exec(sentinel);
    if (leash >= 0)
        os_set_close_on_exec(leash);
    if (gate >= 0)
        os_set_close_on_exec(gate);
    if (words >= 0)
        os_set_close_on_exec(words);
    for (size_t i = 0; i < record->start.connection_count; i++)
        connections[i] = next++;
    fresh_child(record, &(struct exec_child_descriptors){sentinel, leash, gate, words, connections});
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
    struct start_record *record;
    int result = start_record_read(first + RECORD, &record);
    if (result)
        exec_child_fail("the process", result, "its start record cannot be read");
    os_close(first + RECORD);
    executable_prove();
    result = region_adopt(first + ARENA, first + BELL);
    if (result)
        exec_child_fail(record->start.name, result, mproc_strerror(result));
    if (record->kind == RECORD_SERVER) {
        exec_child_report(0);
        server_run(record, first + SENTINEL, first + SOCKET);
    }
    be_child(record, first + SENTINEL);
}

int mproc_init(void)
{
    if (!called_from)
        called_from = __builtin_return_address(0);
    int first = first_descriptor ? first_descriptor : exec_child_take_variable();
    if (!first)
        return 0;
    first_descriptor = 0;
    if (os_program_is_privileged()) /* the environment may be another user's, who must not choose functions */
        child_fail("the process", "a program with a set-user-ID bit or with capabilities is not started this way");
    be_fresh(first);
}
