/* The walk of plan.h over every system call that an operation makes, and the errors that the kernel may give for each.
 */
#include "harness.h"
#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    MOST_ERRORS = 4,
    MOST_CALLS = 200 /* of one kind; an operation that waits in a loop may make any number of them */
};

/* The name of each kind and the errors to try, those that the manual pages list and a healthy program can meet. A call
 * that is made to fail is never made, so none of them may say that a thing is gone which is still there: no ECHILD, no
 * ESRCH, and nothing for close, which on Linux always closes. */
static const struct {
    const char *name;
    int errors[MOST_ERRORS];
} kinds[OS_CALL_COUNT] = {
    [OS_MEMFD_CREATE] = {"memfd_create", {EMFILE, ENOMEM}},
    [OS_FTRUNCATE] = {"ftruncate", {ENOMEM, EINTR}},
    [OS_FALLOCATE] = {"fallocate", {ENOMEM, ENOSPC, EINTR}},
    [OS_FSTAT] = {"fstat", {ENOMEM}},
    [OS_SEAL] = {"seal", {EBUSY}},
    [OS_MMAP] = {"mmap", {ENOMEM, EAGAIN}},
    [OS_MUNMAP] = {"munmap", {ENOMEM}},
    [OS_MADVISE] = {"madvise", {ENOMEM, EAGAIN}},
    [OS_RECORD_LOCK] = {"record lock", {ENOLCK, EAGAIN}},
    [OS_FUTEX_WAIT] = {"futex wait", {EINTR, EAGAIN, ETIMEDOUT}},
    [OS_FUTEX_WAKE] = {"futex wake", {ENOMEM}},
    [OS_EVENTFD] = {"eventfd", {EMFILE, ENFILE, ENOMEM}},
    [OS_READ] = {"read", {EINTR, EAGAIN, EIO}},
    [OS_WRITE] = {"write", {EINTR, EPIPE, ENOSPC}},
    [OS_OPEN] = {"open", {EMFILE, ENOENT, EACCES}},
    [OS_CLOSE] = {"close", {0}},
    [OS_DUP] = {"dup", {EMFILE}},
    [OS_FCNTL] = {"fcntl", {EMFILE}},
    [OS_IOCTL] = {"ioctl", {ENOTTY, EIO}},
    [OS_SETSOCKOPT] = {"setsockopt", {ENOBUFS}},
    [OS_SOCKETPAIR] = {"socketpair", {EMFILE, ENFILE, ENOMEM}},
    [OS_SOCKET] = {"socket", {EMFILE, ENFILE, ENOMEM}},
    [OS_BIND] = {"bind", {ENOMEM, EACCES}},
    [OS_LISTEN] = {"listen", {ENOMEM}},
    [OS_ACCEPT] = {"accept", {EINTR, EMFILE, ENOMEM, ECONNABORTED}},
    [OS_CONNECT] = {"connect", {EINTR, ENOMEM, ECONNREFUSED}},
    [OS_RESOLVE] = {"resolve", {EAGAIN, ENOMEM, EHOSTUNREACH}},
    [OS_LINK] = {"link", {ENOSPC, EACCES}},
    [OS_MKDIR] = {"mkdir", {ENOSPC, EACCES}},
    [OS_RENAME] = {"rename", {ENOSPC, EACCES, EIO}},
    [OS_FSYNC] = {"fsync", {EIO, ENOSPC}},
    [OS_FLOCK] = {"flock", {EAGAIN, EINTR, ENOLCK}},
    [OS_SENDMSG] = {"sendmsg", {EINTR, EAGAIN, EPIPE, ENOBUFS}},
    [OS_RECVMSG] = {"recvmsg", {EINTR, EAGAIN, ECONNRESET, ENOMEM}},
    [OS_POLL] = {"poll", {EINTR, ENOMEM}},
    [OS_EPOLL_CREATE] = {"epoll_create", {EMFILE, ENOMEM}},
    [OS_EPOLL_CTL] = {"epoll_ctl", {ENOMEM, ENOSPC}},
    [OS_EPOLL_WAIT] = {"epoll_wait", {EINTR}},
    [OS_FORK] = {"fork", {EAGAIN, ENOMEM}},
    [OS_EXEC] = {"exec", {ENOENT, EACCES, ENOMEM}},
    [OS_PIDFD_OPEN] = {"pidfd_open", {EMFILE, ENOMEM}},
    [OS_PIDFD_SIGNAL] = {"pidfd_send_signal", {EPERM}},
    [OS_WAITID] = {"waitid", {EINTR}},
    [OS_KILL] = {"kill", {EPERM}},
    [OS_PRCTL] = {"prctl", {EINVAL, EPERM}},
    [OS_CLOSE_RANGE] = {"close_range", {ENOMEM, ENOSYS}},
    [OS_THREAD_CREATE] = {"thread create", {EAGAIN}},
    [OS_AFFINITY] = {"affinity", {EINVAL}},
    [OS_RLIMIT] = {"rlimit", {EPERM}},
    [OS_LOAD] = {"load", {ELIBACC}},
    [OS_MALLOC] = {"malloc", {ENOMEM}},
};

/* What one walk has done so far. */
struct walk {
    fault_operation *operation;
    fault_check *check;
    void *arg;
    long most;
    long hits;
    int unbalanced;
};

static void run(struct walk *walk, const struct fault *fault)
{
    if (fault)
        fault_arm(fault->call, fault->after, fault->error);
    int result = walk->operation(walk->arg);
    bool hit = fault && fault_hits() > 0;
    fault_disarm();
    walk->hits += hit;
    walk->check(walk->arg, result, hit ? fault : NULL);
    if (books_check(NULL) == 0)
        return;
    walk->unbalanced++;
    books_forgive();
    if (hit)
        fprintf(stderr, "... when %s number %ld fails: %s\n", kinds[fault->call].name, fault->after + 1,
                strerror(fault->error));
    else
        fprintf(stderr, "... when nothing fails\n");
}

/* Fail each call of one kind in turn with one error, until a run does not get as far. */
static void walk_kind(struct walk *walk, enum os_call call, int error)
{
    for (long after = 0; after < walk->most; after++) {
        long hits = walk->hits;
        run(walk, &(struct fault){call, after, error});
        if (walk->hits == hits)
            return;
    }
}

const char *fault_name(enum os_call call)
{
    return kinds[call].name;
}

long fault_walk_first(long calls, fault_operation *operation, fault_check *check, void *arg)
{
    struct walk walk = {.operation = operation, .check = check, .arg = arg, .most = calls};

    fault_reset();
    run(&walk, NULL);
    for (int call = 0; call < OS_CALL_COUNT; call++) {
        assert_non_null(kinds[call].name);
        for (int i = 0; i < MOST_ERRORS && kinds[call].errors[i] && fault_count((enum os_call)call) > 0; i++)
            walk_kind(&walk, (enum os_call)call, kinds[call].errors[i]);
    }
    assert_int_equal(walk.unbalanced, 0);
    return walk.hits;
}

long fault_walk(fault_operation *operation, fault_check *check, void *arg)
{
    return fault_walk_first(MOST_CALLS, operation, check, arg);
}
