/* Why the last function of a thread failed, as failure.h says. Thread-local, so that threads do not tell each other's
 * failures; a forked child has what its parent's thread had. Whoever calls functions of the library in a signal handler
 * may find the sentence of one that the handler interrupted replaced. */
#include "util/failure.h"

#include "util/atomic.h"
#include "util/text.h"
#include <mproc/base.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    CAUSE_SIZE = 160,
    TEXT_SIZE = 256,
    NOTES = 4
};

/* A noted cause: the name of a system call, or NULL for the sentence in cause. result is 0 where there is none. */
struct cause {
    int result;
    const char *call;
};

static _Atomic(failure_listener *) listening;

/* Several are kept, each of another result, for on the way of a failure what is undone may fail too, and what is tried
 * next; of sentences the last one. told is the result that text is about, whose cause begins at cause_at.
 * While holds is not 0 nothing is noted and nothing told. */
static _Thread_local struct {
    struct cause notes[NOTES];
    unsigned next;
    int told;
    unsigned holds;
    unsigned cause_at;
    bool is_logging;
    char cause[CAUSE_SIZE];
    char text[TEXT_SIZE];
} last;

__thread unsigned failures_told;

static struct cause *note_of(int result)
{
    for (unsigned i = 0; i < NOTES; i++)
        if (last.notes[i].result == result)
            return &last.notes[i];
    return NULL;
}

static void add_note(int result, const char *call)
{
    struct cause *note = note_of(result);
    if (!note)
        note = &last.notes[last.next++ % NOTES];
    *note = (struct cause){result, call};
}

void failure_note_call(const char *call, int error)
{
    if (!last.holds)
        add_note(-error, call);
}

static void note_sentence(int result, const char *format, va_list arguments)
{
    if (last.holds)
        return;
    for (unsigned i = 0; i < NOTES; i++)
        if (!last.notes[i].call)
            last.notes[i].result = 0;
    add_note(result, NULL);
    if (vsnprintf(last.cause, sizeof last.cause, format, arguments) >= CAUSE_SIZE)
        last.cause[text_whole(last.cause, CAUSE_SIZE - 1)] = '\0';
}

void failure_hold(void)
{
    last.holds++;
}

void failure_release(void)
{
    last.holds--;
}

int failure_note(int result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note_sentence(result, format, arguments);
    va_end(arguments);
    return result;
}

int failure_refuse(const char *function, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note_sentence(-EINVAL, format, arguments);
    va_end(arguments);
    return failure_tell(function, -EINVAL);
}

void failure_listen(failure_listener *listener)
{
    store_release(&listening, listener);
}

/* A listener that fails in the library itself is not told of that. */
static void tell_listener(void)
{
    failure_listener *listener = load_acquire(&listening);
    if (!listener || last.is_logging)
        return;
    last.is_logging = true;
    listener(last.text);
    last.is_logging = false;
}

/* Put the text together of a function, the call that failed in it, and a cause. */
static void compose(const char *function, const char *call, const char *cause)
{
    char copy[CAUSE_SIZE]; /* the cause may lie in the text */
    int fitting = (int)text_fitting(cause, CAUSE_SIZE - 31);
    snprintf(copy, sizeof copy, "%s%s%.*s", call ? call : "", call ? ": " : "", fitting, cause);
    snprintf(last.text, sizeof last.text, "%.64s: %s", function, copy);
    last.cause_at = (unsigned)strlen(function) + 2;
}

int failure_tell(const char *function, int result)
{
    const struct cause *note = note_of(result);
    if (last.holds || (result > 0 && !note))
        return result;
    compose(function, note ? note->call : NULL, note && !note->call ? last.cause : mproc_strerror(result));
    last.told = result;
    failures_told++;
    tell_listener();
    memset(last.notes, 0, sizeof last.notes);
    return result;
}

int failure_retell(const char *function, unsigned before, int result)
{
    if (last.holds || note_of(result) || last.told != result || failures_told == before)
        return failure_tell(function, result);
    compose(function, NULL, last.text + last.cause_at);
    return result;
}

void failure_forget(void)
{
    memset(last.notes, 0, sizeof last.notes);
}

const char *failure_cause(unsigned before, int result)
{
    const struct cause *note = note_of(result);
    if (note)
        return note->call ? NULL : last.cause;
    return last.told == result && failures_told != before ? last.text + last.cause_at : NULL;
}

void *outcome_null(const char *function, int result)
{
    failure_tell(function, result);
    errno = -result;
    return NULL;
}

const char *mproc_last_error(void)
{
    return last.text[0] ? last.text : "No function of mproc has failed in this thread";
}
