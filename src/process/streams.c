/* The streams of stdio. Called by the start of a process and by its end. */
#include "process/streams.h"

#include <stdio.h>
#include <stdio_ext.h>

#ifdef __GLIBC__
/* glibc's list of open streams. It is exported, but declared in no header; hence weak. */
typedef struct _IO_FILE_node *stream_iterator;
#pragma weak _IO_iter_begin
#pragma weak _IO_iter_end
#pragma weak _IO_iter_next
#pragma weak _IO_iter_file
#pragma weak _IO_list_lock
#pragma weak _IO_list_unlock
stream_iterator _IO_iter_begin(void);
stream_iterator _IO_iter_end(void);
stream_iterator _IO_iter_next(stream_iterator at);
FILE *_IO_iter_file(stream_iterator at);
void _IO_list_lock(void);
void _IO_list_unlock(void);

void streams_flush(void)
{
    if (!_IO_iter_begin || !_IO_iter_end || !_IO_iter_next || !_IO_iter_file || !_IO_list_lock || !_IO_list_unlock) {
        fflush(NULL);
        return;
    }
    _IO_list_lock();
    for (stream_iterator at = _IO_iter_begin(); at != _IO_iter_end(); at = _IO_iter_next(at))
        if (__fpending(_IO_iter_file(at)) > 0)
            fflush(_IO_iter_file(at));
    _IO_list_unlock();
}
#else
void streams_flush(void)
{
    fflush(NULL);
}
#endif
