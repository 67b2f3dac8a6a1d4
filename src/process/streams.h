/* The streams of stdio, for a process that is about to be copied or to end. */
#ifndef MPROC_PROCESS_STREAMS_H
#define MPROC_PROCESS_STREAMS_H

/* Write out what is buffered for output. Streams that are read are not touched, so it does not wait for a thread that
 * reads one, which fflush(NULL) would. */
void streams_flush(void);

#endif
