/* A wait cell: sleeping and waking. The argument why nothing is lost stands in cell.h. */
#include "sync/cell.h"

#include "arena/member.h"
#include "os/clock.h"
#include "os/futex.h"
#include "sync/bell.h"
#include "util/atomic.h"
#include <errno.h>

uint32_t cell_prepare(struct wait_cell *cell)
{
    uint32_t seen = fetch_or_seq_cst(&cell->word, CELL_SLEEPERS) | CELL_SLEEPERS;
    atomic_thread_fence(memory_order_seq_cst);
    return seen;
}

int cell_sleep(struct wait_cell *cell, uint32_t seen, int64_t deadline)
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

void cell_arm_bell(struct wait_cell *cell)
{
    fetch_or_seq_cst(&cell->word, CELL_BELL);
    atomic_thread_fence(memory_order_seq_cst);
}

/* The sleeper bit is taken away in one of two ways. Who wakes all takes it before the wake: whoever prepared before
 * that is woken, or finds another word and does not fall asleep. Who wakes some and finds fewer takes it after, and
 * then wakes again those that prepared in between, for they found the bit set and changed nothing. */
void cell_wake_slow(struct wait_cell *cell, int count)
{
    uint32_t gone = count == CELL_ALL ? CELL_BELL | CELL_SLEEPERS : CELL_BELL;
    uint32_t word = load_relaxed(&cell->word);
    while (!atomic_compare_exchange_weak_explicit(&cell->word, &word, (word + CELL_STEP) & ~gone, memory_order_seq_cst,
                                                  memory_order_relaxed)) {
    }
    if (word & CELL_BELL)
        bell_ring();
    if (!(word & CELL_SLEEPERS) || os_futex_wake(&cell->word, count) >= count || count == CELL_ALL)
        return;
    word = (word + CELL_STEP) & ~CELL_BELL;
    if (compare_exchange_seq_cst(&cell->word, &word, word & ~CELL_SLEEPERS))
        os_futex_wake(&cell->word, CELL_ALL);
}
