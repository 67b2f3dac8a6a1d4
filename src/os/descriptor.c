/* What can be done with any descriptor, and the notes about those that are the library's. Called from every floor.
 *
 * A note is found by the descriptor's number. It is written by the thread that has just got that number from the
 * kernel, and never taken away: what follows at the same number is something else, or is noted anew. A forked child has
 * its parent's notes with its parent's descriptors. */
#define _GNU_SOURCE
#include "os/descriptor.h"

#include "os/fault.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Descriptors above these are used without a note, and closed without a question. */
#define NOTES_PER_PAGE ((size_t)1024)
#define PAGES          ((size_t)64)

/* Eventfds, pidfds, epolls and the like share one inode, so those that are made here get a mark: the signal of
 * F_SETSIG, which stays with the open file and does nothing, for O_ASYNC is never set on them. */
#define MARK 61

struct note {
    _Atomic(uint64_t) inode;
    _Atomic(uint64_t) kind; /* 0: there is none. Otherwise device << 32 | file type << 8 | mark, and never 0 */
};

static _Atomic(struct note *) pages[PAGES];

static struct note *find_page(size_t index)
{
    struct note *page = atomic_load_explicit(&pages[index], memory_order_acquire);
    if (page)
        return page;
    size_t size = NOTES_PER_PAGE * sizeof *page;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (atomic_compare_exchange_strong_explicit(&pages[index], &page, memory, memory_order_acq_rel,
                                                memory_order_acquire))
        return memory;
    munmap(memory, size);
    return page;
}

/* NULL when there is no place for one. */
static struct note *note_of(int fd)
{
    size_t index = (size_t)fd / NOTES_PER_PAGE;
    struct note *page = fd >= 0 && index < PAGES ? find_page(index) : NULL;
    return page ? page + (size_t)fd % NOTES_PER_PAGE : NULL;
}

/* Whether it has no inode of its own. */
static bool is_anonymous(const struct stat *status)
{
    return (status->st_mode & S_IFMT) == 0;
}

static uint64_t kind_of(int fd, const struct stat *status)
{
    uint64_t device = (uint64_t)major(status->st_dev) << 20 | minor(status->st_dev);
    int mark = is_anonymous(status) ? fcntl(fd, F_GETSIG) : 0;
    return device << 32 | (uint64_t)(status->st_mode & S_IFMT) << 8 | UINT64_C(0x80) | (uint64_t)(mark & 0x7f);
}

static void take_note(int fd, bool is_new)
{
    struct note *note = note_of(fd);
    struct stat status;
    if (!note)
        return;
    uint64_t kind = 0;
    if (fstat(fd, &status) == 0) {
        if (is_new && is_anonymous(&status))
            (void)fcntl(fd, F_SETSIG, MARK); /* without it, it is taken for any other of its kind */
        kind = kind_of(fd, &status);
        atomic_store_explicit(&note->inode, status.st_ino, memory_order_relaxed);
    }
    atomic_store_explicit(&note->kind, kind, memory_order_relaxed);
}

static bool is_noted(int fd)
{
    struct note *note = note_of(fd);
    return note && atomic_load_explicit(&note->kind, memory_order_relaxed) != 0;
}

static bool is_same(int fd)
{
    const struct note *note = note_of(fd);
    struct stat status;
    if (fstat(fd, &status))
        return errno != EBADF; /* a filter of system calls that does not let us ask */
    return note && status.st_ino == atomic_load_explicit(&note->inode, memory_order_relaxed) &&
           kind_of(fd, &status) == atomic_load_explicit(&note->kind, memory_order_relaxed);
}

/* It may have been made as one of stdio, so it is moved at once. */
static int move_up(int fd)
{
    int fault = os_fault(OS_DUP);
    int higher = fault ? fault : fcntl(fd, F_DUPFD_CLOEXEC, OS_FIRST_FD);
    if (!fault && higher < 0)
        higher = -errno;
    close(fd);
    return higher;
}

int os_keep(int fd)
{
    if (fd >= 0 && fd < OS_FIRST_FD)
        fd = move_up(fd);
    if (fd >= 0)
        take_note(fd, true);
    return fd;
}

int os_keep_received(int fd)
{
    if (fd >= 0 && fd < OS_FIRST_FD)
        fd = move_up(fd);
    if (fd >= 0)
        take_note(fd, false);
    return fd;
}

int os_keep_pair(int fds[2])
{
    fds[0] = os_keep(fds[0]);
    fds[1] = os_keep(fds[1]);
    if (fds[0] >= 0 && fds[1] >= 0)
        return 0;
    int result = fds[0] < 0 ? fds[0] : fds[1];
    if (fds[0] >= 0 || fds[1] >= 0)
        close(fds[0] < 0 ? fds[1] : fds[0]);
    return result;
}

void os_adopt(int fd)
{
    take_note(fd, false);
}

bool os_is_kept(int fd)
{
    return is_noted(fd) && is_same(fd);
}

int os_close(int fd)
{
    int fault = os_fault(OS_CLOSE);
    if (is_noted(fd) && !is_same(fd))
        return fault;
    int result = close(fd) ? -errno : 0; /* after a fault too: Linux always frees the descriptor */
    return fault ? fault : result;
}

int os_duplicate(int fd)
{
    int fault = os_fault(OS_DUP);
    if (fault)
        return fault;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, OS_FIRST_FD);
    if (copy < 0)
        return -errno;
    os_adopt(copy);
    return copy;
}

int os_replace(int fd, int target)
{
    int fault = os_fault(OS_DUP);
    if (fault)
        return fault;
    return dup2(fd, target) < 0 ? -errno : 0;
}

int os_set_close_on_exec(int fd)
{
    int fault = os_fault(OS_FCNTL);
    if (fault)
        return fault;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) ? -errno : 0;
}

bool os_is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}
