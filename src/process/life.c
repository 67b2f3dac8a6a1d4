/* How a child knows of its parent's life. Called by the start of processes.
 *
 * The leash of a daemon is the reading end of a pipe whose writing end is open in its parent only. When the parent is
 * gone, by whatever signal, the kernel closes that end and sends SIGKILL to whoever asked for it on the reading end.
 * PR_SET_PDEATHSIG would not do: it goes by the parent's thread, so a daemon would die when the thread that started it
 * ends. To whom the signal goes is kept per open file description, hence each daemon gets one of its own. */
#include "process/life.h"

#include "os/descriptor.h"
#include "os/file.h"
#include "os/fork.h"
#include "os/pidfd.h"
#include "os/pipe.h"
#include "os/process.h"
#include "process/local.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* Of this process, opened when first needed; under the local lock. */
static int own_pidfd = -1;
static int leashes[2] = {-1, -1};

/* That this process wears; -1: it is no daemon. */
static int worn = -1;

/* A forked child's copy of its parent's, until it needs one of its own: to close it in every child would cost each. */
static int stale_pidfd = -1;

static OS_FORK_PATH void forget(int *fd)
{
    if (*fd >= 0)
        os_close(*fd);
    *fd = -1;
}

static int duplicate_own_pidfd(void)
{
    forget(&stale_pidfd);
    if (own_pidfd < 0) {
        int fd = os_pidfd_open(getpid());
        if (fd < 0)
            return fd;
        own_pidfd = fd;
    }
    return os_duplicate(own_pidfd);
}

int life_sentinel(void)
{
    local_lock();
    int fd = duplicate_own_pidfd();
    local_unlock();
    return fd;
}

static int make_leashes(void)
{
    int ends[2];
    int result = os_pipe(ends);
    if (result)
        return result;
    result = os_let_read(ends[0]);
    if (result) {
        os_close(ends[0]);
        os_close(ends[1]);
        return result;
    }
    leashes[0] = ends[0];
    leashes[1] = ends[1];
    return 0;
}

static int open_leash(void)
{
    char path[32];
    int result = leashes[0] < 0 ? make_leashes() : 0;
    if (result)
        return result;
    snprintf(path, sizeof path, "/proc/self/fd/%d", leashes[0]);
    return os_open(path, O_RDONLY | O_NONBLOCK);
}

int life_leash(void)
{
    local_lock();
    int fd = open_leash();
    local_unlock();
    return fd;
}

int life_wear(int leash)
{
    worn = leash;
    return os_signal_me_at_hangup(leash, SIGKILL);
}

int life_loosen(int signal)
{
    return worn < 0 ? -ECHILD : os_signal_me_at_hangup(worn, signal);
}

int life_worn(void)
{
    return worn;
}

OS_FORK_PATH void life_forget(void)
{
    forget(&stale_pidfd);
    stale_pidfd = own_pidfd;
    own_pidfd = -1;
    worn = -1;
    forget(&leashes[0]);
    forget(&leashes[1]);
}
