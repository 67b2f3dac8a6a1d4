/* Results, time and the library as a whole.
 *
 * Every function that can fail returns an int: 0 is success; a negative value is -errno, a failure of the system or of
 * the call, and travels unchanged; a positive value is one of the conditions below, which a caller is expected to
 * handle. mproc_strerror() has a sentence for each, and mproc_last_error() says what went wrong with which argument or
 * system call.
 *
 * Every function that can block takes a timeout as its last argument: MPROC_SEC(3), MPROC_MS(250), MPROC_US(50),
 * MPROC_FOREVER or MPROC_NOWAIT. A bare number does not compile. A negative span is -EINVAL, and nothing was done. In a
 * struct of options, where 0 stands for the default, a bare number does not compile in C++; in C it is an error or,
 * with gcc before version 14 and clang before 15, a warning (-Wint-conversion, which is on by default). There a span of
 * less than 100 us, for which a unit was surely forgotten, is -EINVAL.
 *
 * Structs that may grow have a member reserved: words that later versions turn into new members, so that the size of
 * the struct and the offsets of its members stay the same. In a struct that a caller passes in they must be 0, as must
 * every member that is not used, so initialize the whole struct: with designated initializers, {0} or memset(). A word
 * that is not 0 asks for something that this version does not know, and is -EINVAL. In a struct that the library fills
 * in they are 0, and so is a member that an older library does not know.
 *
 * All functions are safe to call from several threads at once unless their text says otherwise. None is
 * async-signal-safe unless its text says so. A signal that interrupts a wait does not end it, unless the program asks
 * for that by mproc_wait_check_set(): the wait goes on for what is left of its timeout. After a fork by mproc, or by
 * the program's own fork(), parent and child may both go on using every shared object.
 *
 * No function is a cancellation point: pthread_cancel() of a thread that is in one takes effect at the thread's next
 * cancellation point outside, so a wait that never ends is not ended by it. What the program hands over to be called,
 * and tasks in threads, may have such points. Asynchronous cancelability must be off. */
#ifndef MPROC_BASE_H
#define MPROC_BASE_H

#include <stddef.h>
#include <stdint.h>

#define MPROC_API                 __attribute__((visibility("default")))
#define MPROC_PRINTF(text, first) __attribute__((format(printf, text, first)))

#define MPROC_VERSION_MAJOR 0
#define MPROC_VERSION_MINOR 2
#define MPROC_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* A span of time. It is a struct so that a bare number, which does not say its unit, is no timeout: write
 * MPROC_MS(250). The member is there to be computed with and compared; the struct is passed as an int64_t is, so a
 * binding for another language may declare timeouts as that.
 *
 * In C the pointer is what a bare number in an initializer would set, and the compiler says that it is none. Nobody
 * uses it. In C++ the constructor is explicit. */
#ifdef __cplusplus
struct mproc_time {
    int64_t nanoseconds;
    mproc_time() = default;
    explicit constexpr mproc_time(int64_t span) : nanoseconds(span)
    {
    }
};
#define MPROC_TIME_OF(n, unit) (mproc_time(static_cast<int64_t>((n)*INT64_C(unit))))
#else
typedef struct mproc_time {
    union {
        const struct mproc_unit_is_missing *bare_number;
        int64_t nanoseconds;
    };
} mproc_time;
#define MPROC_TIME_OF(n, unit) ((mproc_time){.nanoseconds = (int64_t)((n)*INT64_C(unit))})
#endif

/* n may be of any arithmetic type: MPROC_SEC(0.5) is half a second. A span reaches 292 years; a longer one overflows
 * the int64_t, which is not checked. A negative span other than MPROC_FOREVER is no timeout. All can initialize static
 * objects (gcc with -Wpedantic takes note of that, unless it finds this header in a system folder). */
#define MPROC_FOREVER MPROC_TIME_OF(-1, 1)
#define MPROC_NOWAIT  MPROC_TIME_OF(0, 1)
#define MPROC_NS(n)   MPROC_TIME_OF(n, 1)
#define MPROC_US(n)   MPROC_TIME_OF(n, 1000)
#define MPROC_MS(n)   MPROC_TIME_OF(n, 1000000)
#define MPROC_SEC(n)  MPROC_TIME_OF(n, 1000000000)

/* The conditions: results that are neither success nor a failure of the call. */
enum mproc_result {
    MPROC_TIMEOUT = 1,          /* the time ran out before it happened; nothing was done */
    MPROC_CLOSED = 2,           /* the other side closed or died, or the object was closed for this use */
    MPROC_OWNER_DIED = 3,       /* the lock is yours; its last owner died holding it: check what it guards */
    MPROC_WORKER_DIED = 4,      /* the worker died while it ran this task */
    MPROC_TASK_FAILED = 5,      /* the task's function returned something other than 0 */
    MPROC_CANCELLED = 6,        /* the task was cancelled, or its pool was terminated */
    MPROC_TOO_SMALL = 7,        /* the buffer is too small; the message is still there, and its size was stored */
    MPROC_BROKEN = 8,           /* a barrier or a pool broke, or a stream ended inside a message */
    MPROC_RUNNING = 9,          /* the process has not ended */
    MPROC_NOT_SHARED = 10,      /* the address is not in the family's shared memory: use mproc_alloc() */
    MPROC_NOT_INITIALIZED = 11, /* a fresh run of the program would not get to mproc_init(), or did not */
    MPROC_NO_FUNCTION = 12,     /* the function is in no loaded object file, so a fresh process could not find it */
    MPROC_LATE = 13,            /* the task took longer than its time limit, and was killed */
    MPROC_NOT_FOUND = 14,       /* there is no such key, item or index */
    MPROC_SERVER_DIED = 15,     /* the server, or the way to it, is gone */
    MPROC_AUTH = 16,            /* the other side did not prove that it has the key */
    MPROC_INTERRUPTED = 17, /* the program's check has ended the wait, see mproc_wait_check_set(); else as a timeout */
    MPROC_FOREIGN = 18,     /* the handle is of another process, as one that this process was forked from */
    MPROC_KEY_EXPOSED = 19  /* other users may read or write the key file: chmod 600 */
};

/* A sentence for any result of this library: a condition, 0, or -errno. Never NULL; valid until the thread's next call
 * of this function. Async-signal-safe for conditions and 0. */
MPROC_API const char *mproc_strerror(int result);

/* Why the last function of the library failed in this thread: one sentence with the function, the argument or system
 * call, and the cause, as in
 *
 *     mproc_pool_create: options.grace is under 100 us: its unit is missing
 *     mproc_connect: connect: Connection refused
 *
 * It is set by every function that returns a negative result, or NULL with errno, and by those that return a condition
 * for which more is known than mproc_strerror() says. A function that succeeds, and a plain condition such as
 * MPROC_TIMEOUT, leave it as it was, so ask only after a failure. Never NULL. Valid until the thread's next failure; a
 * forked child has what its parent's thread had. At MPROC_LOG_DEBUG the same sentence is a line of the log. */
MPROC_API const char *mproc_last_error(void);

/* The version of the library that is loaded, as "major.minor.patch". Async-signal-safe. */
MPROC_API const char *mproc_version(void);

/* Programs that start processes by spawn or forkserver must call this first thing in main(). In a process that the
 * library itself started by these methods it does not return: the process runs its target and exits. In any other it
 * returns 0 at once, however often it is called. fork needs no call.
 *
 * -EINVAL: the process was started with a damaged start record; -ENOMEM and others: the family could not be joined.
 * Both happen only in a started child, which then exits with code 127 after a line on stderr, so a caller may ignore
 * the result. Not thread-safe: call it before there are threads. */
MPROC_API int mproc_init(void);

/* The number of CPUs that this process may use, at least 1: those of its affinity mask, and no more than its cgroup's
 * quota (rounded up). */
MPROC_API int mproc_cpu_count(void);

/* Whether the waits of the library are to end early: 0 to wait on. */
typedef int mproc_wait_check(void *arg);

/* Have every wait of this process ask the check, or with NULL no check. For programs, and runtimes of other languages,
 * whose signal handlers only note a signal and which must deal with it before the wait is over.
 *
 * A call that is about to sleep calls the check in its own thread, again whenever a signal handler has run there, and
 * at least every 100 ms (less often where more than 64 processes sleep). When the check returns other than 0 the call
 * ends as with a timeout, nothing done and nothing lost, and returns MPROC_INTERRUPTED; where a timeout ends more than
 * the wait, as that of mproc_pool_map() or mproc_barrier_wait(), it does so too. A call that has what it waited for
 * returns that instead, whatever the check said. What does not wait, a call with MPROC_NOWAIT and the waits of
 * mproc_remote_* functions that the server does for its client do not ask.
 *
 * The check must return soon and call nothing of this library. The calling thread may be in the midst of a call on an
 * object, which other threads wait for meanwhile. A forked child inherits the check.
 *
 * Without a check, a process in which CPython runs ends a wait once a signal handler has interrupted its sleep: only
 * when the call has returned can the interpreter run its own handlers. So Ctrl-C works in bindings made by ctypes or
 * cffi. */
MPROC_API void mproc_wait_check_set(mproc_wait_check *check, void *arg);

#ifdef __cplusplus
}
#endif

#endif
