/* How a child notices the end of its parent.
 *
 * The leash of a daemon is the reading end of a pipe whose writing end is open in its parent only. When the parent is
 * gone, by whatever signal, the kernel closes that end and sends SIGKILL to the process that asked for it on the
 * reading end. PR_SET_PDEATHSIG would not do: it goes by the parent's thread, so a daemon would die when the thread
 * that started it ends.
 *
 * The kernel keeps the wish with the open file description of the reading end. The daemon may close that, or execute
 * a program, which closes it too; so the parent has it as well, put away by os_stow(). It must outlive the writing end
 * when everything of the parent is closed at once. What was put away is let go when its socket is, and files that are
 * closed at once are let go the last one first: so the writing end is the higher descriptor. The daemon then needs
 * nothing open, and can lose nothing.
 *
 * A forked child closes its copies of the writing ends at once, but it may be held up before, and then it is what
 * keeps them open when the parent dies. Its copy of the reading end must then be there too, else the kernel would have
 * nobody to tell. So each daemon has a pipe of its own, whose ends come to be under the lock that is held across forks:
 * a child has copies of both or of none, and closes the writing one first. */
#include "process/parent_tie.h"

#include "os/allocate.h"
#include "os/descriptor.h"
#include "os/file.h"
#include "os/fork.h"
#include "os/packet.h"
#include "os/pidfd.h"
#include "os/pipe.h"
#include "os/process.h"
#include "os/socket.h"
#include "process/process_lock.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of this process, opened when first needed; under the process lock. */
static int own_pidfd = -1;
static pid_t own_pid; /* with own_pidfd */
static struct tie {
    int end;  /* the writing end */
    int kept; /* what keeps the reading end; -1 where that could not be had */
} first_ties[4], *ties = first_ties;
static size_t tie_count, tie_capacity = sizeof first_ties / sizeof *first_ties;
static int own_end = -1; /* see make_socket() */

/* That this process wears; -1: it is no daemon. */
static int worn = -1;

/* A forked child's copy of its parent's, until it needs one of its own: to close it in every child would cost each. */
static int stale_pidfd = -1;

static OS_FORK_PATH void parent_tie_close(int *fd)
{
    if (*fd >= 0)
        os_close(*fd);
    *fd = -1;
}

/* Where there are no pidfds: a pair of sockets, of which this process alone has the other end. It is closed with this
 * process, and the children's becomes readable. */
static int make_socket(void)
{
    int ends[2];
    int result = os_socket_pair(ends);
    if (result)
        return result;
    own_end = ends[1];
    return ends[0];
}

static int make_own(void)
{
    int fd = os_pidfd_open(getpid());
    if (fd < 0 || os_pidfd_is_pollable(fd))
        return fd;
    os_close(fd);
    return make_socket();
}

/* -EBADF: the program has closed it. None is made anew, for it might get the number of another one that was closed. */
static int have_own(void)
{
    parent_tie_close(&stale_pidfd);
    if (own_pidfd >= 0)
        return os_is_replaced(own_pidfd) ? -EBADF : own_pidfd;
    int fd = make_own();
    if (fd < 0)
        return fd;
    own_pid = getpid();
    own_pidfd = fd;
    return fd;
}

int parent_tie_sentinel(void)
{
    process_lock();
    int fd = have_own();
    if (fd >= 0)
        fd = os_duplicate(fd);
    process_unlock();
    return fd;
}

int life_sentinel_of_fork(void)
{
    process_lock();
    int fd = have_own();
    process_unlock();
    return fd;
}

OS_FORK_PATH int life_take_parent(void)
{
    int fd = stale_pidfd;
    stale_pidfd = -1;
    return fd;
}

pid_t life_pid(void)
{
    process_lock();
    pid_t pid = own_pid;
    process_unlock();
    return pid;
}

/* Have room for one more. */
static int reserve_tie(void)
{
    if (tie_count < tie_capacity)
        return 0;
    struct tie *list = os_malloc(2 * tie_capacity * sizeof *list);
    if (!list)
        return -ENOMEM;
    memcpy(list, ties, tie_count * sizeof *list);
    if (ties != first_ties)
        free(ties);
    ties = list;
    tie_capacity *= 2;
    return 0;
}

/* Put the reading end away, and the writing end above it. Where this user has too many descriptors on their way, the
 * daemon's own end must do. */
static int parent_tie_keep(const int ends[2], struct tie *tie)
{
    tie->kept = os_stow(ends[0]);
    if (tie->kept < 0 && tie->kept != -ETOOMANYREFS)
        return tie->kept;
    tie->end = os_duplicate_above(ends[1], tie->kept < 0 ? ends[0] : tie->kept);
    if (tie->end < 0 && tie->kept >= 0)
        os_close(tie->kept);
    return tie->end < 0 ? tie->end : 0;
}

static int make_tie(int *leash, int *end)
{
    int ends[2];
    int result = reserve_tie();
    if (!result)
        result = os_pipe(ends);
    if (result)
        return result;
    result = parent_tie_keep(ends, &ties[tie_count]);
    os_close(ends[1]);
    if (result) {
        os_close(ends[0]);
        return result;
    }
    *leash = ends[0];
    *end = ties[tie_count++].end;
    return 0;
}

int parent_tie_begin(int *leash, int *end)
{
    process_lock();
    int result = make_tie(leash, end);
    process_unlock();
    return result;
}

static OS_FORK_PATH void cut(struct tie *tie)
{
    os_close(tie->end);
    if (tie->kept >= 0)
        os_close(tie->kept);
}

void parent_tie_end(int end)
{
    for (size_t i = 0; i < tie_count; i++) {
        if (ties[i].end != end)
            continue;
        cut(&ties[i]);
        ties[i] = ties[--tie_count];
        return;
    }
}

int parent_tie_take(int leash)
{
    worn = leash;
    return os_signal_me_at_hangup(leash, SIGKILL);
}

int parent_tie_loosen(int signal)
{
    return worn < 0 ? -ECHILD : os_signal_me_at_hangup(worn, signal);
}

int parent_tie_taken(void)
{
    return worn;
}

OS_FORK_PATH void parent_tie_forget(void)
{
    parent_tie_close(&stale_pidfd);
    stale_pidfd = own_pidfd;
    own_pidfd = -1;
    parent_tie_close(&own_end);
    worn = -1;
    for (; tie_count > 0; tie_count--)
        cut(&ties[tie_count - 1]);
}
