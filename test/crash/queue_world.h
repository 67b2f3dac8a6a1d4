/* The worlds of the queue's crash cases. Every message has a number and is filled with it; the world's own come first,
 * then what the victim puts, then what the survivor puts. */
#ifndef TEST_CRASH_QUEUE_WORLD_H
#define TEST_CRASH_QUEUE_WORLD_H

#include <mproc/queue.h>
#include <stdbool.h>
#include <sys/types.h>

#define QUEUE_VICTIM   1000u
#define QUEUE_SURVIVOR 2000u
#define QUEUE_MOST     64u
#define QUEUE_LONG     ((size_t)1500) /* five of these fill the base segment */

struct queue_world {
    mproc_queue *queue;
    unsigned own;    /* messages 0 to own - 1 were put before */
    unsigned first;  /* and those before first got */
    unsigned batch;  /* how many the victim puts or gets */
    size_t size;     /* of each message */
    bool gets;       /* the victim gets */
    pid_t bystander; /* asleep in a get or put, or 0 */
    bool sleeper_puts;
    _Atomic(unsigned) heard;      /* messages that the bystander got */
    unsigned numbers[QUEUE_MOST]; /* their numbers */
    _Atomic(int) end;             /* how the bystander's call ended, plus 1 */
    _Atomic(int) result;          /* of the victim's call, plus 1 */
};

/* Make a message of that number. */
void queue_fill(unsigned char *message, size_t size, unsigned number);

/* Put one of the world's size. False when that cannot be done in time. */
bool queue_put_number(struct queue_world *world, unsigned number);

/* The number of the next message; UINT32_MAX when there is none, UINT32_MAX - 1 when it is damaged. */
unsigned queue_get_number(struct queue_world *world, mproc_time timeout);

/* A world with a queue of that bound, with so many messages of that size in it. */
struct queue_world *queue_build(size_t maxsize, unsigned own, size_t size);

/* Whether the bystander sleeps in its get or put. */
bool queue_sleeps(void *world);

/* Free the queue: then all its memory must be back. NULL, or what is wrong. */
const char *queue_balance(struct queue_world *world);

/* What mends: the next one to put, and the next one to get. */
void queue_repair(void *arg);
void queue_destroy(void *arg);

#endif
