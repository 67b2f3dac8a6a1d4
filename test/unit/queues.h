/* What the tests of queues share. */
#ifndef TEST_UNIT_QUEUES_H
#define TEST_UNIT_QUEUES_H

#include <mproc/queue.h>
#include <sys/types.h>

/* Make one, and fail the test if that fails. */
mproc_queue *make_queue(size_t maxsize);

/* A child that runs the function and exits with its result; and its exit code, or minus its signal. */
pid_t start_at_queue(int (*run)(mproc_queue *queue, int number), mproc_queue *queue, int number);
int finish_at_queue(pid_t pid);

/* Messages that are numbers, without waiting. get_int() returns the number, or minus the result when there is none. */
int put_int(mproc_queue *queue, int value);
int get_int(mproc_queue *queue);

#endif
