/* The snapshot of a server, as clients see it: asked for at the start and the end, by clients, and by the loop.
 *
 * The bytes are made between two requests, so they show one moment. A process of its own writes them, and the loop goes
 * on. Whoever asks meanwhile has seen more than what is being written, so it waits for the next writing, one for all.
 */
#include "manager/server/snapshot.h"

#include "manager/server/waitable.h"
#include "os/allocate.h"
#include "os/descriptor.h"
#include "os/epoll.h"
#include "os/pidfd.h"
#include <errno.h>
#include <mproc/log.h>
#include <signal.h>

/* ---- the start ---- */

static int restore(struct server *server)
{
    struct snapshot_bytes bytes = {.bytes = NULL};
    const unsigned char *records;
    size_t size;

    int result = snapshot_file_read(&server->snapshot->file, &bytes);
    if (result == -ENOENT)
        return 0;
    if (!result)
        result = snapshot_check(&bytes, &records, &size);
    if (!result)
        result = snapshot_decode(server, records, size);
    free(bytes.bytes);
    if (!result)
        mproc_log(MPROC_LOG_INFO, "manager: %zu objects are back from %s", server->registry.count,
                  server->snapshot->file.name);
    else
        mproc_log(MPROC_LOG_ERROR, "manager: %s cannot be restored: %s", server->snapshot->file.name,
                  mproc_strerror(result));
    return result;
}

int snapshot_start(struct server *server, const char *path, int64_t interval)
{
    struct snapshot *snapshot = os_malloc(sizeof *snapshot);
    if (!snapshot)
        return -ENOMEM;
    *snapshot = (struct snapshot){.pidfd = -1, .interval = interval, .next_at = os_now() + interval};
    int result = snapshot_file_open(&snapshot->file, path);
    if (result) {
        free(snapshot);
        return result;
    }
    server->snapshot = snapshot;
    snapshot->waitable = waitable_create(server, (enum mproc_remote_kind)0, 0);
    result = snapshot->waitable ? restore(server) : -ENOMEM;
    if (result) {
        registry_clear(server);
        snapshot_stop(server);
    }
    return result;
}

/* ---- writing ---- */

/* A process that cannot be watched is looked at every tick. */
static int begin(struct server *server)
{
    struct snapshot *snapshot = server->snapshot;
    struct snapshot_bytes bytes = {.bytes = NULL};

    int result = snapshot_begin(&bytes);
    if (!result)
        result = snapshot_encode(server, &bytes);
    if (!result)
        result = snapshot_file_write(&snapshot->file, &bytes);
    free(bytes.bytes);
    if (result < 0)
        return result;
    snapshot->pidfd = result;
    snapshot->has_changes = false;
    snapshot->next_at = os_now() + snapshot->interval;
    (void)os_epoll_add(server->epoll, snapshot->pidfd, EPOLLIN, snapshot);
    return 0;
}

/* Begin for all who wait for that. */
static void begin_for_all(struct server *server)
{
    struct waitable *waitable = server->snapshot->waitable;
    int result = begin(server);
    for (struct waiter *waiter = TAILQ_FIRST(&waitable->waiters); waiter && !result; waiter = TAILQ_NEXT(waiter, entry))
        waiter->what = WAITS_FOR_WRITING;
    if (result)
        waitable_finish_all(server, waitable, WAITS_FOR_SAVE, result);
}

static int status_of(const struct snapshot *snapshot, int exitcode)
{
    int status = exitcode < 0 ? MPROC_WORKER_DIED : -exitcode;
    if (status)
        mproc_log(MPROC_LOG_WARNING, "manager: %s was not written: %s", snapshot->file.name, mproc_strerror(status));
    return status;
}

/* Whether the writing is over; *status says how it went. */
static bool has_ended(struct server *server, int *status)
{
    struct snapshot *snapshot = server->snapshot;
    int exitcode = 0;
    int result = os_pidfd_reap(snapshot->pidfd, &exitcode);
    if (result == 0)
        return false;
    *status = result < 0 ? result : status_of(snapshot, exitcode);
    snapshot->has_changes = snapshot->has_changes || *status;
    (void)os_epoll_remove(server->epoll, snapshot->pidfd);
    os_close(snapshot->pidfd);
    snapshot->pidfd = -1;
    waitable_finish_all(server, snapshot->waitable, WAITS_FOR_WRITING, *status);
    return true;
}

/* By itself, for nobody who asks. One that cannot be begun is tried again after the next interval. */
static void begin_when_due(struct server *server)
{
    struct snapshot *snapshot = server->snapshot;
    if (!snapshot->interval || !snapshot->has_changes || server->now < snapshot->next_at || server->stop_at)
        return;
    int result = begin(server);
    if (!result)
        return;
    snapshot->next_at = server->now + snapshot->interval;
    mproc_log(MPROC_LOG_WARNING, "manager: %s was not written: %s", snapshot->file.name, mproc_strerror(result));
}

void snapshot_look(struct server *server)
{
    struct snapshot *snapshot = server->snapshot;
    int status;
    if (!snapshot || (snapshot->pidfd >= 0 && !has_ended(server, &status)))
        return;
    if (!TAILQ_EMPTY(&snapshot->waitable->waiters))
        begin_for_all(server);
    else
        begin_when_due(server);
}

static int await(struct server *server)
{
    int status = 0;
    while (!has_ended(server, &status))
        (void)os_pidfd_wait(server->snapshot->pidfd, OS_TICK);
    return status;
}

/* ---- asking ---- */

int snapshot_ask(struct server *server, struct session *session, uint64_t number)
{
    if (!server->snapshot)
        return -EOPNOTSUPP;
    const struct waitable_call turn = {.server = server,
                                       .session = session,
                                       .waitable = server->snapshot->waitable,
                                       .number = number,
                                       .timeout = OS_USER_FOREVER};
    if (server->snapshot->pidfd >= 0)
        return waitable_wait(&turn, WAITS_FOR_SAVE, NULL);
    int result = begin(server);
    return result ? result : waitable_wait(&turn, WAITS_FOR_WRITING, NULL);
}

/* The one writing shows the last moment, so those who waited for the next one have it too. */
int snapshot_finish(struct server *server)
{
    struct snapshot *snapshot = server->snapshot;
    if (!snapshot)
        return 0;
    if (snapshot->pidfd >= 0)
        (void)await(server);
    int result = begin(server);
    if (!result)
        result = await(server);
    waitable_finish_all(server, snapshot->waitable, WAITS_FOR_SAVE, result);
    return result;
}

void snapshot_stop(struct server *server)
{
    struct snapshot *snapshot = server->snapshot;
    if (!snapshot)
        return;
    if (snapshot->pidfd >= 0) {
        (void)os_pidfd_signal(snapshot->pidfd, SIGKILL);
        (void)await(server);
    }
    waitable_free(server, snapshot->waitable);
    snapshot_file_close(&snapshot->file);
    free(snapshot);
    server->snapshot = NULL;
}
