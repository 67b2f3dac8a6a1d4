/* How putters and getters of a queue wait, as queue_wait.h says. */
#include "queue/queue_wait.h"

#include "os/spin.h"
#include "util/atomic.h"

/* How long to look before sleeping, in pauses of the CPU, and the longest time between two looks: some tens of
 * microseconds in all, which is what a sleep and a wake-up cost. The times grow with what was waited already, so that
 * the other side gets on and is not slowed by our looking. */
#define SPIN_LENGTH 1900
#define SPIN_PAUSE  32
#define SPIN_GROWTH 8

/* How long a getter lets a putter get ahead, and how often it refrains from that when there was but one message: twice
 * as often with each time in a row. */
#define LET_PAUSE        128
#define LET_REFRAIN      64u
#define LET_REFRAIN_MOST 4096u

bool queue_spin(queue_condition *condition, mproc_queue *queue, size_t count, int first)
{
    struct os_spin spin = os_spin_begin(SPIN_LENGTH, SPIN_PAUSE, SPIN_GROWTH);
    if (spin.length == 0)
        return false;
    os_cpu_pause(first);
    spin.made = first;
    do {
        if (condition(queue, count))
            return true;
    } while (os_spin_pause(&spin));
    return false;
}

int queue_sleep(queue_condition *condition, mproc_queue *queue, size_t count, struct wait_cell *cell, int64_t deadline)
{
    uint32_t seen = wait_cell_prepare(cell);
    return condition(queue, count) ? 0 : wait_cell_sleep(cell, seen, deadline);
}

/* Of use is what brings more than one message. With a putter that waits for an answer to each it would only take time.
 */
int letting_pause(mproc_queue *queue)
{
    struct letting *let = &queue->get.let;
    uint64_t got = ring_count(load_relaxed(&queue->get.word));
    if (let->was_let) {
        bool was_of_use = got - let->got > 1;
        unsigned next = let->span < LET_REFRAIN_MOST ? let->span * 2 : LET_REFRAIN_MOST;
        let->span = was_of_use || next == 0 ? LET_REFRAIN : next;
        let->refrains = was_of_use ? 0 : let->span;
    }
    let->got = got;
    let->was_let = let->refrains == 0;
    if (let->was_let)
        return LET_PAUSE;
    let->refrains--;
    return 0;
}
