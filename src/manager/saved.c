/* The snapshot of a server, as clients see it. Called by serve.c at the start and the end, by requests.c for those who
 * ask, and by the loop.
 *
 * The bytes are made between two requests, so they show one moment. A process of its own writes them, and the loop goes
 * on. Whoever asks meanwhile has seen more than what is being written, so it waits for the next writing, one for all.
 */
#include "manager/saved.h"

#include "manager/turns.h"
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
    struct saved_bytes bytes = {.bytes = NULL};
    const unsigned char *records;
    size_t size;

    int result = saved_file_read(&server->saved->file, &bytes);
    if (result == -ENOENT)
        return 0;
    if (!result)
        result = saved_check(&bytes, &records, &size);
    if (!result)
        result = saved_decode(server, records, size);
    free(bytes.bytes);
    if (!result)
        mproc_log(MPROC_LOG_INFO, "manager: %zu objects are back from %s", server->registry.count,
                  server->saved->file.name);
    else
        mproc_log(MPROC_LOG_ERROR, "manager: %s cannot be restored: %s", server->saved->file.name,
                  mproc_strerror(result));
    return result;
}

int saved_start(struct server *server, const char *path, int64_t interval)
{
    struct saved *saved = os_malloc(sizeof *saved);
    if (!saved)
        return -ENOMEM;
    *saved = (struct saved){.pidfd = -1, .interval = interval, .next_at = os_now() + interval};
    int result = saved_file_open(&saved->file, path);
    if (result) {
        free(saved);
        return result;
    }
    server->saved = saved;
    saved->turns = turns_create(server, (enum mproc_remote_kind)0, 0);
    result = saved->turns ? restore(server) : -ENOMEM;
    if (result) {
        registry_clear(server);
        saved_stop(server);
    }
    return result;
}

/* ---- writing ---- */

/* A process that cannot be watched is looked at every tick. */
static int begin(struct server *server)
{
    struct saved *saved = server->saved;
    struct saved_bytes bytes = {.bytes = NULL};

    int result = saved_begin(&bytes);
    if (!result)
        result = saved_encode(server, &bytes);
    if (!result)
        result = saved_file_write(&saved->file, &bytes);
    free(bytes.bytes);
    if (result < 0)
        return result;
    saved->pidfd = result;
    saved->has_changes = false;
    saved->next_at = os_now() + saved->interval;
    (void)os_epoll_add(server->epoll, saved->pidfd, EPOLLIN, saved);
    return 0;
}

/* Begin for all who wait for that. */
static void begin_for_all(struct server *server)
{
    struct turns *turns = server->saved->turns;
    int result = begin(server);
    for (struct waiter *waiter = TAILQ_FIRST(&turns->waiters); waiter && !result; waiter = TAILQ_NEXT(waiter, entry))
        waiter->what = WAITS_FOR_WRITING;
    if (result)
        turns_finish_all(server, turns, WAITS_FOR_SAVE, result);
}

static int status_of(const struct saved *saved, int exitcode)
{
    int status = exitcode < 0 ? MPROC_WORKER_DIED : -exitcode;
    if (status)
        mproc_log(MPROC_LOG_WARNING, "manager: %s was not written: %s", saved->file.name, mproc_strerror(status));
    return status;
}

/* Whether the writing is over; *status says how it went. */
static bool has_ended(struct server *server, int *status)
{
    struct saved *saved = server->saved;
    int exitcode = 0;
    int result = os_pidfd_reap(saved->pidfd, &exitcode);
    if (result == 0)
        return false;
    *status = result < 0 ? result : status_of(saved, exitcode);
    saved->has_changes = saved->has_changes || *status;
    (void)os_epoll_remove(server->epoll, saved->pidfd);
    os_close(saved->pidfd);
    saved->pidfd = -1;
    turns_finish_all(server, saved->turns, WAITS_FOR_WRITING, *status);
    return true;
}

/* By itself, for nobody who asks. One that cannot be begun is tried again after the next interval. */
static void begin_when_due(struct server *server)
{
    struct saved *saved = server->saved;
    if (!saved->interval || !saved->has_changes || server->now < saved->next_at || server->stop_at)
        return;
    int result = begin(server);
    if (!result)
        return;
    saved->next_at = server->now + saved->interval;
    mproc_log(MPROC_LOG_WARNING, "manager: %s was not written: %s", saved->file.name, mproc_strerror(result));
}

void saved_look(struct server *server)
{
    struct saved *saved = server->saved;
    int status;
    if (!saved || (saved->pidfd >= 0 && !has_ended(server, &status)))
        return;
    if (!TAILQ_EMPTY(&saved->turns->waiters))
        begin_for_all(server);
    else
        begin_when_due(server);
}

static int await(struct server *server)
{
    int status = 0;
    while (!has_ended(server, &status))
        (void)os_pidfd_wait(server->saved->pidfd, OS_TICK);
    return status;
}

/* ---- asking ---- */

int saved_ask(struct server *server, struct session *session, uint64_t number)
{
    if (!server->saved)
        return -EOPNOTSUPP;
    const struct turn turn = {.server = server,
                              .session = session,
                              .turns = server->saved->turns,
                              .number = number,
                              .timeout = OS_USER_FOREVER};
    if (server->saved->pidfd >= 0)
        return turns_wait(&turn, WAITS_FOR_SAVE, NULL);
    int result = begin(server);
    return result ? result : turns_wait(&turn, WAITS_FOR_WRITING, NULL);
}

/* The one writing shows the last moment, so those who waited for the next one have it too. */
int saved_finish(struct server *server)
{
    struct saved *saved = server->saved;
    if (!saved)
        return 0;
    if (saved->pidfd >= 0)
        (void)await(server);
    int result = begin(server);
    if (!result)
        result = await(server);
    turns_finish_all(server, saved->turns, WAITS_FOR_SAVE, result);
    return result;
}

void saved_stop(struct server *server)
{
    struct saved *saved = server->saved;
    if (!saved)
        return;
    if (saved->pidfd >= 0) {
        (void)os_pidfd_signal(saved->pidfd, SIGKILL);
        (void)await(server);
    }
    turns_free(server, saved->turns);
    saved_file_close(&saved->file);
    free(saved);
    server->saved = NULL;
}
