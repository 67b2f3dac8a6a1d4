/* When a server ends without a client's asking, as stop.h says.
 *
 * A server that has a snapshot file writes it first. If it cannot, it goes on, so that what it has is not lost while
 * there may be room again: it tries once a second. A further signal ends it as it is, and so does the end of the
 * process that has started it, for which nobody could wait longer. */
#include "manager/server/stop.h"

#include "manager/server/server.h"
#include "manager/server/snapshot.h"
#include "os/epoll.h"
#include "os/poll.h"
#include "os/signal.h"
#include "process/parent_tie.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/log.h>
#include <pthread.h>
#include <signal.h>

#define RETRY       OS_SEC(1)
#define LAST_TIME   OS_SEC(1) /* for answers to go out */
#define ORPHAN_TIME 40        /* seconds that a server without its parent may take for its end */

/* ---- signals ---- */

/* How many asked for an end; only grows. Written by the handler. */
static _Atomic(unsigned) asked;

/* Of a process that is nothing but a server: its leash. Written before the handler is there. */
static int leash = -1;

/* How many servers of this process want the signals; under the mutex. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned servers;

static const int signals[] = {SIGTERM, SIGINT};

/* That it can be read, or is at its end. Async-signal-safe. */
static bool stop_is_ready(int fd)
{
    struct pollfd watch = {.fd = fd, .events = POLLIN};
    return fd >= 0 && os_poll(&watch, 1, 0) == 1;
}

/* A server without a parent that is stuck in a function of the program would stay for ever. */
static void stop_on_signal(int number)
{
    (void)number;
    int before = errno;
    fetch_add_relaxed(&asked, 1);
    if (stop_is_ready(leash))
        os_end_process_after(ORPHAN_TIME);
    errno = before;
}

void stop_take_signals(struct stop *stop)
{
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; servers == 0 && i < sizeof signals / sizeof *signals; i++)
        os_signal_catch_default(signals[i], stop_on_signal);
    servers++;
    stop->signals = load_relaxed(&asked);
    pthread_mutex_unlock(&mutex);
}

void stop_release_signals(void)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    pthread_mutex_lock(&mutex);
    servers--;
    for (size_t i = 0; servers == 0 && i < sizeof signals / sizeof *signals; i++)
        os_signal_put_back(signals[i], stop_on_signal, &standard);
    pthread_mutex_unlock(&mutex);
}

void stop_adopt_process(struct stop *stop)
{
    stop->parent = leash = parent_tie_taken();
    os_signal_disarm(SIGINT);
    stop_take_signals(stop);
    (void)parent_tie_loosen(SIGTERM); /* else it is killed, as any daemon */
}

/* ---- the end ---- */

int stop_watch(struct server *server)
{
    struct stop *stop = &server->stop;
    if (stop->fd >= 0) {
        int result = os_epoll_add(server->epoll, stop->fd, EPOLLIN, stop);
        if (result)
            return result == -EPERM
                       ? failure(-EINVAL, "options.stop_fd is a file or folder, which cannot be waited for")
                       : result;
    }
    if (stop->parent >= 0) /* else each tick looks at it */
        (void)os_epoll_add(server->epoll, stop->parent, EPOLLIN, stop);
    return 0;
}

/* What can be read stays so, and would be reported in each round. */
static void stop_forget(struct server *server, int *fd)
{
    (void)os_epoll_remove(server->epoll, *fd);
    *fd = -1;
    server->stop.is_asked = true;
}

static bool stop_is_asked(struct server *server)
{
    struct stop *stop = &server->stop;
    if (stop_is_ready(stop->fd))
        stop_forget(server, &stop->fd);
    if (stop_is_ready(stop->parent)) {
        stop_forget(server, &stop->parent);
        stop->parent_is_gone = true;
    }
    return stop->is_asked || load_relaxed(&asked) != stop->signals;
}

bool stop_is_orphan(const struct stop *stop)
{
    return stop->parent_is_gone || stop_is_ready(stop->parent);
}

static void stop_end(struct server *server, int result)
{
    server->stop_at = os_now() + LAST_TIME;
    server->result = result;
    mproc_log(result ? MPROC_LOG_ERROR : MPROC_LOG_INFO, "manager: the server ends%s",
              result ? ", and what is not in its snapshot file is lost" : "");
}

/* A signal after one that came to nothing. */
static bool stop_is_urged(struct stop *stop, unsigned now)
{
    bool is_new = stop->has_failed && now != stop->signals;
    stop->signals = now;
    return is_new;
}

void stop_look(struct server *server)
{
    struct stop *stop = &server->stop;
    if (server->stop_at || !stop_is_asked(server))
        return;
    stop->is_asked = true;
    unsigned now = load_relaxed(&asked);
    bool is_urged = stop_is_urged(stop, now);
    if (!is_urged && !stop->parent_is_gone && stop->has_failed && server->now < stop->retry_at)
        return;
    int result = snapshot_finish(server);
    if (!result || is_urged || stop->parent_is_gone) {
        stop_end(server, result);
        return;
    }
    if (!stop->has_failed)
        mproc_log(MPROC_LOG_ERROR,
                  "manager: the server was asked to end and cannot save what it has: %s; it goes on and tries again "
                  "each second; a further signal ends it without",
                  mproc_strerror(result));
    stop->has_failed = true;
    stop->retry_at = os_now() + RETRY;
}
