/* The hook by which a test makes one system call fail. Every wrapper in src/os asks os_fault() first and, when it gets
 * an error, returns it instead of calling the kernel. In a build without MPROC_FAULTS the question costs nothing. */
#ifndef MPROC_OS_FAULT_H
#define MPROC_OS_FAULT_H

enum os_call {
    OS_MEMFD_CREATE,
    OS_FTRUNCATE,
    OS_FALLOCATE,
    OS_FSTAT,
    OS_SEAL,
    OS_MMAP,
    OS_MUNMAP,
    OS_MADVISE,
    OS_RECORD_LOCK,
    OS_FUTEX_WAIT,
    OS_FUTEX_WAKE,
    OS_EVENTFD,
    OS_READ,
    OS_WRITE,
    OS_OPEN,
    OS_CLOSE,
    OS_DUP,
    OS_FCNTL,
    OS_IOCTL,
    OS_SOCKETPAIR,
    OS_SOCKET,
    OS_BIND,
    OS_LISTEN,
    OS_ACCEPT,
    OS_CONNECT,
    OS_RESOLVE,
    OS_LINK,
    OS_MKDIR,
    OS_RENAME,
    OS_FSYNC,
    OS_FLOCK,
    OS_SETSOCKOPT,
    OS_SENDMSG,
    OS_RECVMSG,
    OS_POLL,
    OS_EPOLL_CREATE,
    OS_EPOLL_CTL,
    OS_EPOLL_WAIT,
    OS_FORK,
    OS_EXEC,
    OS_PIDFD_OPEN,
    OS_PIDFD_SIGNAL,
    OS_WAITID,
    OS_KILL,
    OS_PRCTL,
    OS_CLOSE_RANGE,
    OS_THREAD_CREATE,
    OS_AFFINITY,
    OS_RLIMIT,
    OS_LOAD,
    OS_MALLOC,
    OS_CALL_COUNT
};

#ifdef MPROC_FAULTS
/* Returns 0 to go on, or a negative errno that the wrapper must return. Defined in test/fault/plan.c. */
int os_fault(enum os_call call);
#else
static inline int os_fault(enum os_call call)
{
    (void)call;
    return 0;
}
#endif

#endif
