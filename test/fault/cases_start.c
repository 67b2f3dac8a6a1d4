/* The cases of every.h for the start of processes, by each method. The child that is started may meet the failure as
 * well: it says so and exits with code 127, or runs as if nothing had happened. */
#include "every.h"

#include "harness.h"
#include "process/forkserver.h"
#include <errno.h>
#include <mproc/connection.h>
#include <mproc/process.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LONG MPROC_SEC(20)

enum {
    TARGET_RETURNS = 6,
    CANNOT_RUN = 127
};

static mproc_process *process;
static mproc_connection *ours, *theirs;
static int argument = TARGET_RETURNS;

static int return_int(void *arg)
{
    return *(int *)arg;
}

/* The message is only looked at, for a child that was killed in its start may have run. */
static int find_message(void *arg)
{
    char byte;
    mproc_connection *connection = mproc_inherited_connection(0);

    (void)arg;
    ssize_t got = recv(mproc_connection_fileno(connection), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    mproc_connection_free(connection);
    return got == 1 ? TARGET_RETURNS : 1;
}

static void begin(void)
{
    process = NULL;
}

static void begin_with_connection(void)
{
    begin();
    every_must(mproc_pipe(&theirs, &ours, true));
    every_must(mproc_connection_send(ours, &argument, sizeof argument, MPROC_NOWAIT));
}

static void look(long *seen)
{
    seen[0] = process != NULL;
    seen[1] = mproc_active_children(NULL, 0) <= 1;
}

/* A server that was replaced may have its descriptors at other places. */
static void allow_another_server(void)
{
    static pid_t server;

    if (forkserver_pid() == server)
        return;
    server = forkserver_pid();
    books_allow_child(server);
    books_forgive();
}

static void end(void)
{
    int exitcode = 0;

    every_must(mproc_process_join(process, LONG));
    every_must(mproc_process_exitcode(process, &exitcode));
    bool cannot_run = every_struck() && every_struck() != EINTR && exitcode == CANNOT_RUN;
    if (exitcode != TARGET_RETURNS && !cannot_run)
        every_wrong("the child did not run");
    process = mproc_process_free(process);
    allow_another_server();
}

static void end_with_connection(void)
{
    ours = mproc_connection_free(ours);
    theirs = mproc_connection_free(theirs);
    end();
}

/* The call is not over before the child is, which may be the one whose calls fail. */
static int await_end(int result)
{
    struct pollfd sentinel = {.fd = result ? -1 : mproc_process_sentinel(process), .events = POLLIN};

    if (!result && poll(&sentinel, 1, 10000) != 1)
        every_wrong("the child does not end");
    return result;
}

static int start(enum mproc_start_method method, bool daemon)
{
    const mproc_process_options options = {.method = method, .arg_size = sizeof argument, .daemon = daemon};
    return await_end(mproc_process_start(&process, return_int, &argument, &options));
}

static int start_with_postmortem(enum mproc_start_method method)
{
    const mproc_process_options options = {.method = method, .arg_size = sizeof argument, .postmortem = true};
    return await_end(mproc_process_start(&process, return_int, &argument, &options));
}

static int start_connected(enum mproc_start_method method)
{
    const mproc_process_options options = {.method = method, .connections = &theirs, .connection_count = 1};
    return await_end(mproc_process_start(&process, find_message, NULL, &options));
}

static int start_fork_with_postmortem(void)
{
    return start_with_postmortem(MPROC_START_FORK);
}

static int start_spawn_with_postmortem(void)
{
    return start_with_postmortem(MPROC_START_SPAWN);
}

static int start_by_server_with_postmortem(void)
{
    return start_with_postmortem(MPROC_START_FORKSERVER);
}

static int start_fork(void)
{
    return start(MPROC_START_FORK, false);
}

static int start_fork_daemon(void)
{
    return start(MPROC_START_FORK, true);
}

static int start_fork_connected(void)
{
    return start_connected(MPROC_START_FORK);
}

static int start_spawn(void)
{
    return start(MPROC_START_SPAWN, false);
}

static int start_spawn_daemon(void)
{
    return start(MPROC_START_SPAWN, true);
}

static int start_spawn_connected(void)
{
    return start_connected(MPROC_START_SPAWN);
}

static int start_by_server(void)
{
    return start(MPROC_START_FORKSERVER, false);
}

static int start_daemon_by_server(void)
{
    return start(MPROC_START_FORKSERVER, true);
}

static int start_connected_by_server(void)
{
    return start_connected(MPROC_START_FORKSERVER);
}

/* The first thing that a process does with the library. */
static int start_and_join(void)
{
    int result = start_fork();
    if (result)
        return result;
    while (mproc_process_join(process, LONG))
        ;
    process = mproc_process_free(process);
    return 0;
}

static const struct every_scene nothing = {begin, look, NULL};
static const struct every_scene alone = {begin, look, end};
static const struct every_scene connected = {begin_with_connection, look, end_with_connection};

static const struct every_case list[] = {
    {"mproc_process_start", "fork", &alone, start_fork, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_start", "fork, first of all", &nothing, start_and_join, 0, CHILD_ALONE, .calls = CALLS},
    {"mproc_process_start", "fork, a daemon", &alone, start_fork_daemon, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_start", "fork, connected", &connected, start_fork_connected, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_start", "fork, with a post-mortem", &alone, start_fork_with_postmortem, 0, CHILD_MAY_NOT,
     .calls = CALLS},
    {"mproc_process_start", "spawn", &alone, start_spawn, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_start", "spawn, a daemon", &alone, start_spawn_daemon, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_start", "spawn, connected", &connected, start_spawn_connected, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_start", "spawn, with a post-mortem", &alone, start_spawn_with_postmortem, 0, CHILD_MAY_NOT,
     .calls = CALLS},
    {"mproc_process_start", "fork server", &alone, start_by_server, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_start", "fork server, a daemon", &alone, start_daemon_by_server, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_start", "fork server, with a post-mortem", &alone, start_by_server_with_postmortem, 0,
     CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_process_start", "fork server, connected", &connected, start_connected_by_server, 0, CHILD_MAY_NOT,
     .calls = CALLS},
};

const struct every_table cases_start = {list, sizeof list / sizeof *list};
