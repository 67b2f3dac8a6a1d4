/* How putters and getters of a queue wait: they look for a while, then they sleep. */
#ifndef MPROC_QUEUE_QUEUE_WAIT_H
#define MPROC_QUEUE_QUEUE_WAIT_H

#include "queue/ring.h"
#include "sync/wait_cell.h"

typedef bool queue_condition(mproc_queue *queue, size_t count);

/* The other side is at work, as a rule: look for a while before sleeping, after first pauses for the
 * first time. Returns whether the condition holds. */
bool queue_spin(queue_condition *condition, mproc_queue *queue, size_t count, int first);

/* Sleep once in a cell for the condition. MPROC_TIMEOUT when the deadline has come; after 0 look again. */
int queue_sleep(queue_condition *condition, mproc_queue *queue, size_t count, struct wait_cell *cell, int64_t deadline);

/* Under the get lock, at an empty queue: how many pauses to let the putter get ahead. */
int queue_letting_pause(mproc_queue *queue);

#endif
