/* No function of the library is a cancellation point: pthread_cancel() of a thread that is in one takes effect at the
 * thread's next cancellation point outside. So no turn or lock stays taken, nothing leaks, and no structure is left
 * half changed by it. The calls of the C library that are cancellation points are made through these functions, which
 * make the same system calls directly, or have cancellation off meanwhile where there is more to it. That costs nothing
 * where it matters. test/unit/test_cancel_points.sh finds calls that were forgotten.
 *
 * ThreadSanitizer must see the C library's own calls; in such a build threads can be cancelled. */
#ifndef MPROC_OS_UNCANCELLED_H
#define MPROC_OS_UNCANCELLED_H

#include "os/fork.h"
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef OS_FORK_TSAN

#define UNCANCELLED(direct, wrapped) (wrapped)
#else
#define UNCANCELLED(direct, wrapped) (direct)
#endif

/* ---- one system call ---- */

static inline ssize_t uncancelled_read(int fd, void *data, size_t size)
{
    return UNCANCELLED(syscall(SYS_read, fd, data, size), read(fd, data, size));
}

static inline ssize_t uncancelled_write(int fd, const void *data, size_t size)
{
    return UNCANCELLED(syscall(SYS_write, fd, data, size), write(fd, data, size));
}

static inline ssize_t uncancelled_pread(int fd, void *data, size_t size, off_t offset)
{
    return UNCANCELLED(syscall(SYS_pread64, fd, data, size, offset), pread(fd, data, size, offset));
}

static inline ssize_t uncancelled_writev(int fd, const struct iovec *parts, int count)
{
    return UNCANCELLED(syscall(SYS_writev, fd, parts, count), writev(fd, parts, count));
}

/* The offset is in two words, of which the second counts nowhere on 64 bits. */
static inline ssize_t uncancelled_preadv2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    return UNCANCELLED(syscall(SYS_preadv2, fd, parts, count, offset, 0L, flags),
                       preadv2(fd, parts, count, offset, flags));
}

static inline ssize_t uncancelled_pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    return UNCANCELLED(syscall(SYS_pwritev2, fd, parts, count, offset, 0L, flags),
                       pwritev2(fd, parts, count, offset, flags));
}

static inline int uncancelled_close(int fd)
{
    return (int)UNCANCELLED(syscall(SYS_close, fd), close(fd));
}

static inline int uncancelled_openat(int folder, const char *path, int flags, mode_t mode)
{
    return (int)UNCANCELLED(syscall(SYS_openat, folder, path, flags, mode), openat(folder, path, flags, mode));
}

static inline int uncancelled_open(const char *path, int flags)
{
    return uncancelled_openat(AT_FDCWD, path, flags, 0);
}

static inline int uncancelled_fsync(int fd)
{
    return (int)UNCANCELLED(syscall(SYS_fsync, fd), fsync(fd));
}

static inline ssize_t uncancelled_getrandom(void *data, size_t size, unsigned flags)
{
    return UNCANCELLED(syscall(SYS_getrandom, data, size, flags), getrandom(data, size, flags));
}

static inline ssize_t uncancelled_recv(int fd, void *data, size_t size, int flags)
{
    return UNCANCELLED(syscall(SYS_recvfrom, fd, data, size, flags, NULL, NULL), recv(fd, data, size, flags));
}

static inline ssize_t uncancelled_recvmsg(int fd, struct msghdr *message, int flags)
{
    return UNCANCELLED(syscall(SYS_recvmsg, fd, message, flags), recvmsg(fd, message, flags));
}

static inline ssize_t uncancelled_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return UNCANCELLED(syscall(SYS_sendmsg, fd, message, flags), sendmsg(fd, message, flags));
}

static inline int uncancelled_accept(int fd, struct sockaddr *address, socklen_t *size)
{
    return (int)UNCANCELLED(syscall(SYS_accept, fd, address, size), accept(fd, address, size));
}

static inline int uncancelled_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    return (int)UNCANCELLED(syscall(SYS_accept4, fd, address, size, flags), accept4(fd, address, size, flags));
}

static inline int uncancelled_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    return (int)UNCANCELLED(syscall(SYS_connect, fd, address, size), connect(fd, address, size));
}

static inline int uncancelled_poll(struct pollfd *watches, nfds_t count, int milliseconds)
{
    return (int)UNCANCELLED(syscall(SYS_poll, watches, count, milliseconds), poll(watches, count, milliseconds));
}

/* The kernel changes its copy of span. */
static inline int uncancelled_ppoll(struct pollfd *watches, nfds_t count, const struct timespec *span)
{
    struct timespec left = *span;
    return (int)UNCANCELLED(syscall(SYS_ppoll, watches, count, &left, NULL, 0), ppoll(watches, count, &left, NULL));
}

static inline int uncancelled_epoll_wait(int epoll, struct epoll_event *events, int capacity, int milliseconds)
{
    return (int)UNCANCELLED(syscall(SYS_epoll_wait, epoll, events, capacity, milliseconds),
                            epoll_wait(epoll, events, capacity, milliseconds));
}

static inline int uncancelled_epoll_pwait2(int epoll, struct epoll_event *events, int capacity,
                                           const struct timespec *span)
{
    return (int)UNCANCELLED(syscall(SYS_epoll_pwait2, epoll, events, capacity, span, NULL, 0),
                            epoll_pwait2(epoll, events, capacity, span, NULL));
}

static inline int uncancelled_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    return (int)UNCANCELLED(syscall(SYS_waitid, type, id, info, options, NULL), waitid(type, id, info, options));
}

static inline pid_t uncancelled_waitpid(pid_t pid, int *status, int options)
{
    return (pid_t)UNCANCELLED(syscall(SYS_wait4, pid, status, options, NULL), waitpid(pid, status, options));
}

static inline int uncancelled_nanosleep(const struct timespec *span)
{
    return (int)UNCANCELLED(syscall(SYS_nanosleep, span, NULL), nanosleep(span, NULL));
}

static inline int uncancelled_sigtimedwait(const sigset_t *signals, const struct timespec *span)
{
    return (int)UNCANCELLED(syscall(SYS_rt_sigtimedwait, signals, NULL, span, sizeof(uint64_t)),
                            sigtimedwait(signals, NULL, span));
}

#undef UNCANCELLED

/* ---- more than that ---- */

/* Have cancellation off. Returns what it was, for os_cancel_restore(). */
static inline int os_cancel_disable(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

static inline void os_cancel_restore(int before)
{
    pthread_setcancelstate(before, NULL);
}

static inline FILE *uncancelled_fopen(const char *path, const char *mode)
{
    int before = os_cancel_disable();
    FILE *file = fopen(path, mode);
    os_cancel_restore(before);
    return file;
}

static inline char *uncancelled_fgets(char *line, int size, FILE *file)
{
    int before = os_cancel_disable();
    char *got = fgets(line, size, file);
    os_cancel_restore(before);
    return got;
}

static inline int uncancelled_fflush(FILE *file)
{
    int before = os_cancel_disable();
    int result = fflush(file);
    os_cancel_restore(before);
    return result;
}

static inline int uncancelled_fclose(FILE *file)
{
    int before = os_cancel_disable();
    int result = fclose(file);
    os_cancel_restore(before);
    return result;
}

static inline int uncancelled_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                                          struct addrinfo **found)
{
    int before = os_cancel_disable();
    int result = getaddrinfo(host, service, hints, found);
    os_cancel_restore(before);
    return result;
}

static inline int uncancelled_pthread_join(pthread_t thread, void **end)
{
    int before = os_cancel_disable();
    int result = pthread_join(thread, end);
    os_cancel_restore(before);
    return result;
}

static inline int uncancelled_pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                                                     const struct timespec *until)
{
    int before = os_cancel_disable();
    int result = pthread_cond_clockwait(condition, mutex, clock, until);
    os_cancel_restore(before);
    return result;
}

#endif
