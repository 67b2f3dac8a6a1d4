/* Freed blocks that AddressSanitizer watches, as quarantine.h says.
 *
 * Invariant: the blocks of the ring are in use for the heap and poisoned here, and nobody else may have them. Each is
 * also named in the shared part, a block that the ledger names.
 *
 * Commit: the store of the address in the shared part. Before it mproc_free() has done nothing.
 *
 * Recovery: the sweep frees what the shared part of a dead member names, and then that part itself. */
#include "arena/quarantine.h"

#include "arena/ledger.h"
#include "arena/member.h"
#include "os/allocate.h"
#include "os/fork.h"
#include "os/leave.h"
#include "os/listed.h"
#include "util/atomic.h"
#include <errno.h>
#include <pthread.h>

#define PLACES     256u
#define MOST_BYTES ((size_t)1 << 20)

struct ring {
    struct {
        void *block;
        size_t size;
    } places[PLACES];
    unsigned first, count;
    size_t bytes;
    heap_place *shared; /* for each place its block, or 0: NULL until a block comes */
    member_owner owner; /* whose ledger names it */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct ring *ring; /* NULL until something is freed in a program that can poison */

static unsigned quarantine_place(unsigned index)
{
    return (ring->first + index) % PLACES;
}

/* The blocks are somebody else's to free. */
static OS_FORK_PATH void quarantine_forget(void)
{
    for (unsigned i = 0; ring && i < ring->count; i++)
        os_unpoison(ring->places[quarantine_place(i)].block, ring->places[quarantine_place(i)].size);
    if (ring)
        *ring = (struct ring){.count = 0};
}

/* Who was taken for dead was swept, and is another member now. */
static void quarantine_lock(void)
{
    os_mutex_lock(&mutex);
    if (ring && ring->shared && ring->owner != member_current())
        quarantine_forget();
}

/* The oldest goes to the heap. With the mutex. */
static void quarantine_release(void)
{
    unsigned place = ring->first;

    os_unpoison(ring->places[place].block, ring->places[place].size);
    (void)heap_free_from(&ring->shared[place]);
    ring->first = quarantine_place(1);
    ring->count--;
    ring->bytes -= ring->places[place].size;
}

/* With the mutex. */
static bool quarantine_has(const void *block)
{
    for (unsigned i = 0; ring && i < ring->count; i++)
        if (ring->places[quarantine_place(i)].block == block)
            return true;
    return false;
}

/* With the mutex. */
static void quarantine_take(void *block, size_t size)
{
    while (ring->count == PLACES || ring->bytes + size > MOST_BYTES)
        quarantine_release();
    unsigned place = quarantine_place(ring->count++);
    ring->places[place].block = block;
    ring->places[place].size = size;
    ring->bytes += size;
    os_poison(block, size);
    store_release(&ring->shared[place], (uintptr_t)block); /* commit */
}

static struct ledger *quarantine_ledger(member_owner owner)
{
    return ledger_at(member_slot(owner));
}

/* With the mutex. False: there is no memory for it. */
static bool quarantine_open(void)
{
    member_owner me = member_current();
    void *shared;

    if (!ring) {
        ring = os_malloc(sizeof *ring);
        if (ring)
            *ring = (struct ring){.count = 0};
    }
    if (!ring || !me)
        return false;
    if (ring->shared)
        return true;
    if (heap_alloc_zeroed(PLACES * sizeof *ring->shared, &quarantine_ledger(me)->quarantine, &shared))
        return false;
    store_release(&quarantine_ledger(me)->quarantine_is_zeroed, 1);
    ring->shared = shared;
    ring->owner = me;
    return true;
}

/* Give the shared part back, in which all is 0. */
static void quarantine_close(struct ledger *ledger)
{
    store_release(&ledger->quarantine_is_zeroed, 0);
    if (heap_free_from(&ledger->quarantine) < 0)
        store_release(&ledger->quarantine, 0);
}

/* With the mutex. */
static void quarantine_release_all(void)
{
    if (!ring || !ring->shared)
        return;
    while (ring->count)
        quarantine_release();
    ring->shared = NULL;
    quarantine_close(quarantine_ledger(ring->owner));
}

int quarantine_free_poisoned(void *block)
{
    int result = member_need();
    if (result)
        return result;
    size_t size = heap_usable_size(block);
    if (size == 0 || size > MOST_BYTES / 4)
        return heap_free(block);
    quarantine_lock();
    bool is_freed = quarantine_has(block);
    bool takes = !is_freed && quarantine_open();
    if (takes)
        quarantine_take(block, size);
    pthread_mutex_unlock(&mutex);
    if (is_freed)
        return HEAP_NO_BLOCK;
    return takes ? 0 : heap_free(block);
}

bool quarantine_holds(const void *block)
{
    if (!os_can_poison())
        return false;
    quarantine_lock();
    bool has = quarantine_has(block);
    pthread_mutex_unlock(&mutex);
    return has;
}

OS_FORK_PATH void quarantine_empty(void)
{
    if (!os_can_poison())
        return;
    quarantine_lock();
    quarantine_release_all();
    pthread_mutex_unlock(&mutex);
}

/* Where a member leaves, a thread that is in the midst of it goes no further: the sweep does it later. */
static bool quarantine_leave(void)
{
    if (pthread_mutex_trylock(&mutex))
        return false;
    quarantine_release_all();
    pthread_mutex_unlock(&mutex);
    return true;
}

static bool sweep_quarantine(unsigned slot, member_owner owner)
{
    struct ledger *ledger = ledger_at(slot);
    heap_place *shared = (heap_place *)load_acquire(&ledger->quarantine);

    if (!shared)
        return true;
    if (owner == member_current())
        return quarantine_leave();
    for (unsigned i = 0; load_acquire(&ledger->quarantine_is_zeroed) && i < PLACES; i++)
        (void)heap_free_from(&shared[i]);
    quarantine_close(ledger);
    return true;
}

static member_sweeper *const swept OS_LISTED("mproc_sweepers") = sweep_quarantine;

/* They are the parent's to free. */
static OS_FORK_PATH void quarantine_after_fork(void)
{
    os_mutex_reset(&mutex, false);
    quarantine_forget();
}

static member_fork_handler *const listed OS_LISTED("mproc_fork_handlers") = quarantine_after_fork;
