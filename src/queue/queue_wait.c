/* How putters and getters of a queue wait, as queue_wait.h says. */
#include "queue/queue_wait.h"

#include "os/spin.h"
#include "util/atomic.h"

/* How long to look before sleeping, in pauses of the CPU, and the longest time between two looks: some tens of
 * microseconds in all, as much as a sleep and a wake-up cost. The pauses grow with the time waited already, so that
 * looking does not slow the other side. */
#define SPIN_LENGTH 1900
#define SPIN_PAUSE  32
#define SPIN_GROWTH 8

/* How long a getter lets a putter get ahead, and how many times it refrains from that after it brought one message
 * only. The number doubles each time in a row. */
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

/* It was of use if more than one message came. Where the putter waits for an answer to each, it only costs time. */
int queue_letting_pause(mproc_queue *queue)
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
