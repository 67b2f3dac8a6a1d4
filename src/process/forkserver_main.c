/* The fork server's side: what mproc_init() does in a process that forkserver.c has executed.
 *
 * The children are not the server's: they are made as children of the host, which waits for them and signals them like
 * those that it forks itself. So the server has nothing to remember, and children outlive it. It is no member of the
 * family and touches no shared memory; it only has it mapped, for its children. */
#include "process/forkserver_main.h"

#include "connection/connection.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/file.h"
#include "os/packet.h"
#include "os/poll.h"
#include "os/process.h"
#include "os/say.h"
#include "os/signal.h"
#include "os/socket.h"
#include "process/child.h"
#include "process/exec_child.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Static_assert(10 + CONNECTION_INHERITED <= OS_PACKET_FDS, "a request can carry all descriptors of a child");

/* Until something comes: both descriptors are the kernel's word, no shared memory is looked at. */
#define LONG_WAIT OS_SEC(3600)

struct host {
    int sentinel;
    int requests;
};

static void forkserver_main_report(int fd, int32_t pid)
{
    struct forkserver_report message = {.pid = pid};
    struct iovec part = {.iov_base = &message, .iov_len = sizeof message};
    while (os_socket_send(fd, &part, 1) == -EINTR)
        ;
}

/* ---- the child ---- */

/* Take the host's stdio as it is now. What it has closed is closed here too. */
static void take_stdio(const struct forkserver_request *request, const int *fds)
{
    for (int i = 0; i < 3; i++) {
        if (request->has_stdio[i])
            os_replace(*fds++, i);
        else
            os_close(i);
    }
}

static void take_environment(struct start_record *record)
{
    char **list = start_record_string_list(record);
    if (!list)
        child_fail(record->start.name, mproc_strerror(-ENOMEM));
    environ = list;
}

static _Noreturn void forkserver_main_be_child(const struct host *host, const struct forkserver_request *request,
                                               const int *fds)
{
    int record_fd = *fds++;
    int report_fd = *fds++;
    forkserver_main_report(report_fd, getpid());
    os_close(report_fd);
    os_close(host->requests);
    os_close(host->sentinel);
    struct start_record *record;
    if (start_record_read(record_fd, &record))
        child_fail("the process", "its start record cannot be read");
    os_close(record_fd);
    struct exec_child_descriptors descriptors = {.sentinel = *fds++, .leash = -1, .gate = -1, .words = -1};
    if (request->has_leash)
        descriptors.leash = *fds++;
    if (request->has_gate)
        descriptors.gate = *fds++;
    if (request->has_words)
        descriptors.words = *fds++;
    if (request->has_directory) {
        if (os_change_directory(*fds))
            child_fail(record->start.name, "it cannot enter the working directory");
        os_close(*fds++);
    }
    take_stdio(request, fds);
    for (int i = 0; i < 3; i++)
        if (request->has_stdio[i])
            os_close(*fds++);
    take_environment(record);
    descriptors.connections = fds;
    fresh_child(record, &descriptors);
}

/* ---- the server ---- */

static void serve(const struct host *host, const struct forkserver_request *request, const int *fds)
{
    sigset_t before;
    os_signals_block(&before);
    pid_t pid = os_fork_sibling();
    if (pid == 0)
        forkserver_main_be_child(host, request, fds);
    os_signals_restore(&before);
    forkserver_main_report(fds[1], pid);
}

/* Returns false when the host is gone. */
static bool forkserver_main_receive(const struct host *host)
{
    struct forkserver_request request;
    int fds[OS_PACKET_FDS];
    size_t count;
    ssize_t size = os_packet_receive(host->requests, &request, sizeof request, fds, &count);
    if (size == (ssize_t)sizeof request && count >= 3)
        serve(host, &request, fds);
    while (count > 0)
        os_close(fds[--count]);
    return size != 0;
}

/* The server reads and writes nothing, and must keep no pipe of its host's open. */
static void leave_stdio(void)
{
    int nothing = os_open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++)
        os_replace(nothing, i);
    os_close(nothing);
}

static void preload(struct start_record *record)
{
    char **libraries = start_record_string_list(record);
    for (size_t i = 0; libraries && libraries[i]; i++)
        if (!dlopen(libraries[i], RTLD_NOW | RTLD_GLOBAL))
            os_say("mproc: the fork server cannot load %s\n", dlerror());
    free(libraries);
}

_Noreturn void server_run(struct start_record *record, int sentinel, int requests)
{
    struct host host = {sentinel, requests};
    struct pollfd watches[2] = {{.fd = requests, .events = POLLIN}, {.fd = sentinel, .events = POLLIN}};
    os_set_close_on_exec(sentinel);
    os_set_close_on_exec(requests);
    os_signal_disarm(SIGINT); /* a Ctrl-C is for the host and its children */
    os_set_name("forkserver");
    preload(record);
    leave_stdio();
    for (;;) {
        int ready = os_poll(watches, 2, LONG_WAIT);
        if (ready > 0 && (watches[1].revents || (watches[0].revents && !forkserver_main_receive(&host))))
            _exit(0);
    }
}
