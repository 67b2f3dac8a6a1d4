/* What other floors need of a queue: for mproc_wait(), and for its line of text. */
#ifndef MPROC_QUEUE_QUEUE_H
#define MPROC_QUEUE_QUEUE_H

#include "sync/wait_cell.h"
#include <mproc/queue.h>

/* The cell that is woken when a message comes or the queue is closed; NULL when it is no queue. */
struct wait_cell *queue_wait_cell(mproc_queue *queue);

/* Whether a get would not wait: there is a message, or the queue is closed. */
bool queue_is_ready(mproc_queue *queue);

/* Write "<queue at 0x21800813a000: 3 messages, at most 10, closed>" and the like. False where there is no queue at this
 * address, which is in the arena. */
bool queue_describe(const mproc_queue *queue, char *text, size_t size);

#endif
