/* The threads of the family: gives each a cell, and looks whether one lives. */
#include "sync/thread_life.h"

#include "os/listed.h"
#include "sync/ledger.h"
#include "util/atomic.h"
#include <errno.h>
#include <linux/futex.h>

#define NONCE_MASK   UINT32_C(0xfffff)
#define NUMBER_MASK  UINT32_C(0xfff)
#define NUMBER_SHIFT 20

_Static_assert(REGION_MEMBERS <= 1 << 12, "a slot has 12 bits of a name");
_Static_assert(THREAD_CELLS_HERE + THREAD_BLOCK * ((1 << THREAD_MORE) - 1) <= NUMBER_MASK, "and a number too");

__thread thread_name thread_own_name;

/* ---- cells ---- */

static unsigned cells_of_block(unsigned block)
{
    return THREAD_BLOCK << block;
}

/* Which of the blocks, beside the ledger's own cells, a cell is in, and where there. */
static unsigned block_of(unsigned index, unsigned *within)
{
    unsigned block = 0;
    index -= THREAD_CELLS_HERE;
    while (index >= cells_of_block(block))
        index -= cells_of_block(block++);
    *within = index;
    return block;
}

/* NULL when there is no block for it. What a block has is of no account once its member is dead. */
static struct thread_cell *cell_at(unsigned slot, unsigned index)
{
    struct sync_ledger *ledger = sync_ledger_at(slot);
    if (index < THREAD_CELLS_HERE)
        return &ledger->threads[index];
    unsigned within;
    unsigned block = block_of(index, &within);
    if (block >= THREAD_MORE)
        return NULL;
    uintptr_t cells = load_acquire(&ledger->more_threads[block]);
    return cells ? (struct thread_cell *)cells + within : NULL;
}

static uint32_t lock_word(const struct thread_cell *cell)
{
    return (uint32_t)__atomic_load_n(&cell->life.__data.__lock, __ATOMIC_ACQUIRE);
}

static int thread_life_set_up(struct thread_cell *cell)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    int error = pthread_mutex_init(&cell->life, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return -error;
}

/* Have the cell if it is free, or of a thread that has ended. */
static bool thread_life_take(struct thread_cell *cell)
{
    uint32_t word = lock_word(cell);
    if ((word & FUTEX_TID_MASK) && !(word & FUTEX_OWNER_DIED))
        return false;
    int error = pthread_mutex_trylock(&cell->life);
    return error == 0 || (error == EOWNERDEAD && pthread_mutex_consistent(&cell->life) == 0);
}

/* One cell more than there are. Under claiming. NULL: there is no room. */
static struct thread_cell *add_cell(unsigned slot, unsigned index)
{
    struct sync_ledger *ledger = sync_ledger_at(slot);
    if (index >= THREAD_CELLS_HERE) {
        unsigned within;
        unsigned block = block_of(index, &within);
        void *cells;
        if (block >= THREAD_MORE || (within == 0 && heap_alloc(cells_of_block(block) * sizeof(struct thread_cell),
                                                               &ledger->more_threads[block], &cells)))
            return NULL;
    }
    struct thread_cell *cell = cell_at(slot, index);
    if (thread_life_set_up(cell))
        return NULL;
    store_release(&ledger->thread_count, index + 1);
    return thread_life_take(cell) ? cell : NULL;
}

/* The number of the cell that the thread has now, or 0. */
static unsigned thread_life_take_any(unsigned slot, struct thread_cell **cell)
{
    struct sync_ledger *ledger = sync_ledger_at(slot);
    unsigned count = load_relaxed(&ledger->thread_count);
    for (unsigned i = 0; i < count; i++) {
        *cell = cell_at(slot, i);
        if (*cell && thread_life_take(*cell))
            return i + 1;
    }
    *cell = add_cell(slot, count);
    return *cell ? count + 1 : 0;
}

thread_name thread_name_new(member_owner me)
{
    static _Atomic(uint32_t) without;
    unsigned slot = member_slot(me);
    struct sync_ledger *ledger = sync_ledger_at(slot);
    struct thread_cell *cell;
    owner_lock_acquire(&ledger->claiming, OS_FOREVER);
    uint32_t number = thread_life_take_any(slot, &cell);
    uint32_t nonce = fetch_add_release(number ? &cell->nonce : &without, 1) + 1;
    owner_lock_release(&ledger->claiming);
    thread_own_name = (uint64_t)thread_process_part(me) << 32 | number << NUMBER_SHIFT | (nonce & NONCE_MASK);
    return thread_own_name;
}

/* ---- looking ---- */

bool thread_is_dead(thread_name name)
{
    unsigned slot = (unsigned)(name >> 52);
    member_owner owner = member_in_slot(slot);
    if (!owner || thread_process_part(owner) != name >> 32 || member_is_dead(owner))
        return true;
    unsigned number = (uint32_t)name >> NUMBER_SHIFT & NUMBER_MASK;
    const struct thread_cell *cell = number ? cell_at(slot, number - 1) : NULL;
    if (!cell)
        return false;
    uint32_t word = lock_word(cell);
    uint32_t nonce = load_acquire(&cell->nonce);
    return (word & FUTEX_OWNER_DIED) || !(word & FUTEX_TID_MASK) || ((nonce ^ (uint32_t)name) & NONCE_MASK);
}

/* ---- leaving, and the sweep ---- */

/* Let go of the calling thread's cell. False when another thread of this process has one: the kernel has that one in
 * its list, so it must stay until the process has ended. */
static bool release_cells(unsigned slot)
{
    bool alone = true;
    unsigned own = thread_own_name >> 32 == thread_process_part(member_current())
                       ? (uint32_t)thread_own_name >> NUMBER_SHIFT & NUMBER_MASK
                       : 0;
    unsigned count = load_relaxed(&sync_ledger_at(slot)->thread_count);
    if (own)
        pthread_mutex_unlock(&cell_at(slot, own - 1)->life);
    thread_own_name = 0;
    for (unsigned i = 0; i < count; i++) {
        uint32_t word = lock_word(cell_at(slot, i));
        alone = alone && (!(word & FUTEX_TID_MASK) || (word & FUTEX_OWNER_DIED));
    }
    return alone;
}

static bool thread_life_sweep(unsigned slot, member_owner owner)
{
    struct sync_ledger *ledger = sync_ledger_at(slot);
    if (load_relaxed(&ledger->thread_count) == 0)
        return true;
    if (owner == member_current() && !release_cells(slot))
        return false;
    for (unsigned block = 0; block < THREAD_MORE; block++)
        if (heap_free_from(&ledger->more_threads[block]))
            return false;
    store_release(&ledger->thread_count, 0);
    return true;
}

static member_sweeper *const listed OS_LISTED("mproc_sweepers") = thread_life_sweep;
