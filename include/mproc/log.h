/* Logging: lines with a level and the process's name, from the library and from the program.
 *
 *     mproc_log_to_stderr(MPROC_LOG_INFO);
 *     mproc_log(MPROC_LOG_INFO, "read %d files", n);        // [INFO/Process-1] read 5 files
 *
 * Off until it is switched on. Children inherit the setting: with fork the callback too, with spawn and forkserver the
 * level and stderr only. A line is written by one write() of at most 1024 bytes, so lines of several processes do not
 * mix. */
#ifndef MPROC_LOG_H
#define MPROC_LOG_H

#include <mproc/base.h>
#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As in Python: larger is graver. */
enum mproc_log_level {
    MPROC_LOG_SUBDEBUG = 5,
    MPROC_LOG_DEBUG = 10,
    MPROC_LOG_INFO = 20,
    MPROC_LOG_SUBWARNING = 25,
    MPROC_LOG_WARNING = 30,
    MPROC_LOG_ERROR = 40,
    MPROC_LOG_OFF = 100
};

/* Called for each line with its level, the name of the process and the text without a newline. It must not log. */
typedef void mproc_log_callback(void *arg, int level, const char *process, const char *text);

/* Write a line if level is at least the level that is set. The text is cut at 1000 bytes, between two letters of UTF-8;
 * control characters in it become '?'. A line that stderr does not take, because the reader of the pipe is gone, say,
 * is lost: there is no SIGPIPE. Keeps errno. */
MPROC_API void mproc_log(int level, const char *format, ...) MPROC_PRINTF(2, 3);

/* The level below which lines are dropped; MPROC_LOG_OFF for none. -EINVAL outside 1 to 100. */
MPROC_API int mproc_log_set_level(int level);
MPROC_API int mproc_log_level(void);

/* Write lines to stderr from this level on. */
MPROC_API int mproc_log_to_stderr(int level);

/* Hand lines to a callback instead; NULL: stderr again. */
MPROC_API int mproc_log_to_callback(mproc_log_callback *callback, void *arg);

#ifdef __cplusplus
}
#endif

#endif
