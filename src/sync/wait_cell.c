/* A wait cell: sleeping and waking. The argument why nothing is lost stands in wait_cell.h. */
#include "sync/wait_cell.h"

#include "arena/member.h"
#include "os/clock.h"
#include "os/futex.h"
#include "sync/wake_fd.h"
#include "util/atomic.h"
#include <errno.h>

uint32_t wait_cell_prepare(struct wait_cell *cell)
{
    uint32_t seen = fetch_or_seq_cst(&cell->word, WAIT_CELL_SLEEPERS) | WAIT_CELL_SLEEPERS;
    atomic_thread_fence(memory_order_seq_cst);
    return seen;
}

int wait_cell_sleep(struct wait_cell *cell, uint32_t seen, int64_t deadline)
{
    int64_t nap = member_nap(deadline);
    if (nap == 0) {
        member_tick(); /* a caller that asks again and again without sleeping gets what the dead held all the same */
        return MPROC_TIMEOUT;
    }
    if (os_futex_wait(&cell->word, seen, nap) == -ETIMEDOUT)
        member_napped(nap);
    return 0;
}

void wait_cell_arm(struct wait_cell *cell)
{
    fetch_or_seq_cst(&cell->word, WAIT_CELL_ARMED);
    atomic_thread_fence(memory_order_seq_cst);
}

/* The sleeper bit is taken away in one of two ways. Who wakes all takes it before the wake: whoever prepared before
 * that is woken, or finds another word and does not fall asleep. Who wakes some and finds fewer takes it after, and
 * then wakes again those that prepared in between, for they found the bit set and changed nothing. */
void wait_cell_wake_slow(struct wait_cell *cell, int count)
{
    uint32_t gone = count == WAIT_CELL_ALL ? WAIT_CELL_ARMED | WAIT_CELL_SLEEPERS : WAIT_CELL_ARMED;
    uint32_t word = load_relaxed(&cell->word);
    while (!atomic_compare_exchange_weak_explicit(&cell->word, &word, (word + WAIT_CELL_STEP) & ~gone,
                                                  memory_order_seq_cst, memory_order_relaxed)) {
    }
    if (word & WAIT_CELL_ARMED)
        wake_fd_ring();
    if (!(word & WAIT_CELL_SLEEPERS) || os_futex_wake(&cell->word, count) >= count || count == WAIT_CELL_ALL)
        return;
    word = (word + WAIT_CELL_STEP) & ~WAIT_CELL_ARMED;
    if (compare_exchange_seq_cst(&cell->word, &word, word & ~WAIT_CELL_SLEEPERS))
        os_futex_wake(&cell->word, WAIT_CELL_ALL);
}
