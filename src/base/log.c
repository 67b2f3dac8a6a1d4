/* The log: lines to stderr or to a callback. It reaches the kernel through os/say.h. A line below the level costs one
 * load. */
#include "base/log.h"

#include "os/allocate.h"
#include "os/fork.h"
#include "os/say.h"
#include "util/atomic.h"
#include "util/failure.h"
#include "util/text.h"
#include <errno.h>
#include <mproc/log.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_MAX_SIZE = 1024,
    TEXT_MAX_SIZE = 1000,
    NAME_SIZE = 64
};

/* Where lines go. A sink never changes once it is published, and stays until the process ends, for another thread may
 * be about to call it; one that is set again is found in the chain. */
struct sink {
    struct sink *previous;
    mproc_log_callback *callback;
    void *arg;
};

static _Atomic(int) level_now = MPROC_LOG_OFF;
static _Atomic(struct sink *) sinks;   /* all that there ever were; grows by compare-and-swap */
static _Atomic(struct sink *) current; /* NULL: stderr */
static char process_name[NAME_SIZE] = "MainProcess";

/* Byte by byte: every forked child comes here, and the first call of each library function costs it a page fault. */
OS_FORK_PATH void log_set_process_name(const char *name)
{
    size_t length = text_fitting(name, NAME_SIZE);
    for (size_t i = 0; i < length; i++)
        process_name[i] = name[i];
    process_name[length] = '\0';
}

int log_inherit(void)
{
    return mproc_log_level();
}

void log_adopt(int inherited)
{
    mproc_log_set_level(inherited);
}

/* ---- lines ---- */

static const char *level_name(int level, char *buffer, size_t size)
{
    switch (level) {
    case MPROC_LOG_SUBDEBUG:
        return "SUBDEBUG";
    case MPROC_LOG_DEBUG:
        return "DEBUG";
    case MPROC_LOG_INFO:
        return "INFO";
    case MPROC_LOG_SUBWARNING:
        return "SUBWARNING";
    case MPROC_LOG_WARNING:
        return "WARNING";
    case MPROC_LOG_ERROR:
        return "ERROR";
    default:
        snprintf(buffer, size, "Level %d", level);
        return buffer;
    }
}

/* Nothing that a terminal or a reader of lines would take for more than text. Bytes above 127 are UTF-8, or not ours to
 * judge. */
static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127)
            *text = '?';
}

/* The end of a line that is cut is its newline. */
static void write_line(int level, const char *text)
{
    char line[LINE_MAX_SIZE + 1];
    char buffer[24];

    int length =
        snprintf(line, sizeof line - 1, "[%s/%s] %s", level_name(level, buffer, sizeof buffer), process_name, text);
    if (length < 0)
        return;
    size_t size = length < LINE_MAX_SIZE ? (size_t)length : text_whole(line, LINE_MAX_SIZE - 1);
    line[size++] = '\n';
    os_say_bytes(line, size);
}

void mproc_log(int level, const char *format, ...)
{
    char text[TEXT_MAX_SIZE + 1];
    int least = mproc_log_level();
    int saved = errno;
    va_list arguments;

    if (!format || least >= MPROC_LOG_OFF || level < least)
        return;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length > TEXT_MAX_SIZE)
        text[text_whole(text, TEXT_MAX_SIZE)] = '\0';
    if (length >= 0) {
        const struct sink *sink = load_acquire(&current);
        clean(text);
        if (sink)
            sink->callback(sink->arg, level, process_name, text);
        else
            write_line(level, text);
    }
    errno = saved;
}

/* ---- setting ---- */

static void log_failure(const char *sentence)
{
    mproc_log(MPROC_LOG_DEBUG, "%s", sentence);
}

int mproc_log_set_level(int level)
{
    if (level < 1)
        return refuse(__func__, "level is below 1");
    if (level > MPROC_LOG_OFF)
        return refuse(__func__, "level is above MPROC_LOG_OFF");
    store_relaxed(&level_now, level);
    failure_listen(level <= MPROC_LOG_DEBUG ? log_failure : NULL);
    return 0;
}

int mproc_log_level(void)
{
    return load_relaxed(&level_now);
}

int mproc_log_to_stderr(int level)
{
    unsigned before = failure_mark();
    int result = mproc_log_set_level(level);
    return retold(__func__, before, result ? result : mproc_log_to_callback(NULL, NULL));
}

static struct sink *find_sink(mproc_log_callback *callback, const void *arg)
{
    struct sink *sink = load_acquire(&sinks);
    while (sink && (sink->callback != callback || sink->arg != arg))
        sink = sink->previous;
    return sink;
}

int mproc_log_to_callback(mproc_log_callback *callback, void *arg)
{
    struct sink *sink = callback ? find_sink(callback, arg) : NULL;

    if (callback && !sink) {
        sink = os_malloc(sizeof *sink);
        if (!sink)
            return outcome(__func__, -ENOMEM);
        *sink = (struct sink){.callback = callback, .arg = arg};
        sink->previous = load_relaxed(&sinks);
        while (!atomic_compare_exchange_weak_explicit(&sinks, &sink->previous, sink, memory_order_release,
                                                      memory_order_relaxed)) {
        }
    }
    store_release(&current, sink);
    return 0;
}
