/* The streams of stdio, flushed before a start and at the end of a process. */
#include "process/streams.h"

#include "os/fork.h"
#include "os/uncancelled.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>

#ifdef __GLIBC__
#include <sys/single_threaded.h>

/* glibc's list of open streams and its lock. They are exported, but declared in no header; hence weak. */
#pragma weak _IO_list_all
#pragma weak _IO_list_lock
#pragma weak _IO_list_unlock
extern FILE *_IO_list_all;
void _IO_list_lock(void);
void _IO_list_unlock(void);

static OS_FORK_PATH bool streams_has_output(FILE *stream)
{
    if (stream->_mode > 0) /* of wide characters */
        return __fpending(stream) > 0;
    return stream->_IO_write_ptr > stream->_IO_write_base;
}

OS_FORK_PATH void streams_flush(void)
{
    if (!&_IO_list_all || !_IO_list_lock || !_IO_list_unlock) {
        uncancelled_fflush(NULL);
        return;
    }
    bool alone = __libc_single_threaded;
    if (!alone)
        _IO_list_lock();
    for (FILE *stream = _IO_list_all; stream; stream = stream->_chain)
        if (streams_has_output(stream))
            uncancelled_fflush(stream);
    if (!alone)
        _IO_list_unlock();
}
#else
void streams_flush(void)
{
    uncancelled_fflush(NULL);
}
#endif
