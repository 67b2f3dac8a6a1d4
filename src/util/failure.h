/* Why the last function of a thread failed: what mproc_last_error() tells.
 *
 * It is noted in two steps, both on the way of a failure only. Whoever finds that something is wrong notes the cause:
 * failed_call() a system call, failure() a sentence. Then the public function that returns the failure puts its name
 * before it: outcome(__func__, result). An argument that is wrong is both at once: refuse(__func__, "size is 0").
 *
 *     int mproc_thing_create(mproc_thing **thing, size_t size)
 *     {
 *         if (!thing)
 *             return refuse(__func__, "thing is NULL");
 *         ...
 *         return outcome(__func__, make(thing, size));     // a system call in it has noted itself
 *     }
 *
 * A cause belongs to the result that it was noted with: a result that nobody has noted gets the words of
 * mproc_strerror(), and a cause that did not become a result is replaced by the next one. */
#ifndef MPROC_UTIL_FAILURE_H
#define MPROC_UTIL_FAILURE_H

#include <errno.h>
#include <mproc/base.h>

void failure_note_call(const char *call, int error);
int failure_tell(const char *function, int result);
int failure_retell(const char *function, unsigned before, int result);

/* How many failures this thread was told of. */
extern __thread unsigned failures_told __attribute__((tls_model("initial-exec")));

/* For a public function that calls others, as it begins: what they tell from now on is its own, see retold(). */
static inline unsigned failure_mark(void)
{
    return failures_told;
}

/* Nothing that fails in this thread until failure_release() is noted or told: for what is given back, on the way of a
 * failure too. */
void failure_hold(void);
void failure_release(void);

/* Hand each sentence to a listener, in the thread that failed; NULL: to none. The log is one at the level DEBUG. */
typedef void failure_listener(const char *sentence);
void failure_listen(failure_listener *listener);

/* For one that does what others ask for, and tells them why it failed: forget what was noted before, and later say what
 * was noted or told since failure_mark() as the cause of a result, or NULL. */
void failure_forget(void);
const char *failure_cause(unsigned before, int result);

/* A system call failed: its negative errno. An error that only says "not now" is no failure and leaves no sentence. */
static inline int failed_call(const char *call)
{
    int error = errno;
    if (error != EAGAIN && error != EINTR && error != ETIMEDOUT && error != EINPROGRESS)
        failure_note_call(call, error);
    return -error;
}

int failure_note(int result, const char *format, ...) __attribute__((cold)) MPROC_PRINTF(2, 3);
int failure_refuse(const char *function, const char *format, ...) __attribute__((cold)) MPROC_PRINTF(2, 3);

/* What a function here returned, which is the result that it was given. The analyzer is told so, and knows then that a
 * failure is not 0. A compiler that knew would keep the result in a register, and save that on the path without a
 * failure too. */
static inline int failure_told(int told, int result)
{
#ifdef __clang_analyzer__
    if (told != result)
        __builtin_unreachable();
#else
    (void)result;
#endif
    return told;
}

/* Note a cause, and give the result that it is the cause of. */
#define failure(result, ...) failure_told(failure_note(result, __VA_ARGS__), result)

/* An argument of a public function is wrong: -EINVAL. */
#define refuse(function, ...) failure_told(failure_refuse(function, __VA_ARGS__), -EINVAL)

/* The result of a public function. A positive result is told only where a cause was noted for it. */
static inline int outcome(const char *function, int result)
{
    if (__builtin_expect(result != 0 && result != MPROC_TIMEOUT, 0))
        return failure_told(failure_tell(function, result), result);
    return result;
}

/* The same for a public function that calls others, which have told the result under their own name. What was told
 * before it began, as failure_mark() said then, was the failure of something else. */
static inline int retold(const char *function, unsigned before, int result)
{
    if (__builtin_expect(result != 0 && result != MPROC_TIMEOUT, 0))
        return failure_told(failure_retell(function, before, result), result);
    return result;
}

/* The same for one that returns a count: only what is negative is a failure. */
static inline int outcome_count(const char *function, int count)
{
    if (__builtin_expect(count < 0, 0))
        return failure_told(failure_tell(function, count), count);
    return count;
}

/* The same for one that returns NULL with errno. */
void *outcome_null(const char *function, int result) __attribute__((cold));

#endif
