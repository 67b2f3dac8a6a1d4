/* What can be done with any descriptor, and the notes about those that are the library's.
 *
 * A note is found by the descriptor's number. It is written by the thread that has just got that number from the
 * kernel, and never taken away: what follows at the same number is something else, or is noted anew. A forked child has
 * its parent's notes with its parent's descriptors. */
#define _GNU_SOURCE
#include "os/descriptor.h"

#include "os/fault.h"
#include "os/uncancelled.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptors above these are used without a note, and closed without a question. */
#define NOTES_PER_PAGE ((size_t)16384)
#define PAGES          ((size_t)4)

/* Eventfds, pidfds, epolls and the like share one inode, so those that are made here get a mark: the signal of
 * F_SETSIG, which stays with the open file and does nothing, for O_ASYNC is never set on them. */
#define MARK 61

/* What a descriptor is known by. */
enum kind {
    NOT_NOTED = 0,
    INODE,   /* its device and inode */
    MARKED,  /* the mark */
    UNMARKED /* the inode that many share, and no mark: one of somebody else's */
};

struct note {
    _Atomic(uint64_t) inode;
    _Atomic(uint64_t) kind; /* device << 8 | enum kind */
};

static _Atomic(struct note *) pages[PAGES];

/* Those of the lowest ones lie beside the rest of our data, see fork.h. */
#define NOTES_NEAR 16
static struct note near[NOTES_NEAR];

static struct note *find_page(size_t index)
{
    struct note *page = load_acquire(&pages[index]);
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
    if (fd >= 0 && fd < NOTES_NEAR)
        return &near[fd];
    struct note *page = fd >= 0 && index < PAGES ? find_page(index) : NULL;
    return page ? page + (size_t)fd % NOTES_PER_PAGE : NULL;
}

static enum kind kind_in(uint64_t word)
{
    return (enum kind)(word & 0xff);
}

static bool has_mark(int fd)
{
    return fcntl(fd, F_GETSIG) == MARK;
}

static bool set_mark(int fd)
{
    return fcntl(fd, F_SETSIG, MARK) == 0;
}

static enum kind find_kind(int fd, const struct stat *status, bool is_new)
{
    if (status->st_mode & S_IFMT)
        return INODE;
    return (is_new ? set_mark(fd) : has_mark(fd)) ? MARKED : UNMARKED;
}

static void take_note(int fd, bool is_new)
{
    struct note *note = note_of(fd);
    struct stat status;
    if (!note)
        return;
    uint64_t kind = NOT_NOTED;
    if (fstat(fd, &status) == 0) {
        kind = (uint64_t)status.st_dev << 8 | find_kind(fd, &status, is_new);
        store_relaxed(&note->inode, status.st_ino);
    }
    store_relaxed(&note->kind, kind);
}

static uint64_t kind_noted(int fd)
{
    const struct note *note = note_of(fd);
    return note ? load_relaxed(&note->kind) : NOT_NOTED;
}

static bool is_same(int fd, uint64_t kind)
{
    struct stat status;
    if (kind_in(kind) == MARKED)
        return has_mark(fd);
    if (fstat(fd, &status))
        return errno != EBADF; /* a filter of system calls that does not let us ask */
    return status.st_ino == load_relaxed(&note_of(fd)->inode) && (uint64_t)status.st_dev == kind >> 8 &&
           (kind_in(kind) == INODE || !has_mark(fd));
}

/* It may have been made as one of stdio, so it is moved at once. */
static int move_up(int fd)
{
    int fault = os_fault(OS_DUP);
    int higher = fault ? fault : fcntl(fd, F_DUPFD_CLOEXEC, OS_FIRST_FD);
    if (!fault && higher < 0)
        higher = failed_call("fcntl");
    uncancelled_close(fd);
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

int os_keep_typeless(int fd)
{
    if (fd >= 0 && fd < OS_FIRST_FD)
        fd = move_up(fd);
    struct note *note = fd >= 0 ? note_of(fd) : NULL;
    if (note && set_mark(fd))
        store_relaxed(&note->kind, MARKED);
    else if (note)
        take_note(fd, false);
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
        uncancelled_close(fds[0] < 0 ? fds[1] : fds[0]);
    return result;
}

void os_adopt(int fd)
{
    take_note(fd, false);
}

bool os_is_kept(int fd)
{
    uint64_t kind = kind_noted(fd);
    return kind_in(kind) != NOT_NOTED && is_same(fd, kind);
}

bool os_is_replaced(int fd)
{
    uint64_t kind = kind_noted(fd);
    return kind_in(kind) != NOT_NOTED && !is_same(fd, kind);
}

int os_close(int fd)
{
    int fault = os_fault(OS_CLOSE);
    if (os_is_replaced(fd))
        return fault;
    int result =
        uncancelled_close(fd) ? failed_call("close") : 0; /* after a fault too: Linux always frees the descriptor */
    return fault ? fault : result;
}

int os_close_at_once(int fd)
{
    int fault = os_fault(OS_CLOSE);
    int result = uncancelled_close(fd) ? failed_call("close") : 0;
    return fault ? fault : result;
}

static void take_same_note(int copy, int fd)
{
    const struct note *from = note_of(fd);
    struct note *to = note_of(copy);
    if (!from || kind_in(kind_noted(fd)) == NOT_NOTED || !to) {
        os_adopt(copy);
        return;
    }
    store_relaxed(&to->inode, load_relaxed(&from->inode));
    store_relaxed(&to->kind, kind_noted(fd));
}

int os_duplicate(int fd)
{
    return os_duplicate_above(fd, OS_FIRST_FD - 1);
}

int os_duplicate_above(int fd, int below)
{
    int fault = os_fault(OS_DUP);
    if (fault)
        return fault;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, below + 1);
    if (copy < 0)
        return errno == EINVAL ? -EMFILE : failed_call("fcntl"); /* the limit is as low as that */
    take_same_note(copy, fd);
    return copy;
}

int os_replace(int fd, int target)
{
    int fault = os_fault(OS_DUP);
    if (fault)
        return fault;
    return dup2(fd, target) < 0 ? failed_call("dup2") : 0;
}

int os_set_close_on_exec(int fd)
{
    int fault = os_fault(OS_FCNTL);
    if (fault)
        return fault;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) ? failed_call("fcntl") : 0;
}

bool os_is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}
