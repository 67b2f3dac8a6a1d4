/* Freed blocks that AddressSanitizer watches, as quarantine.h says. Called by alloc.c, and where a process ends.
 *
 * Invariant: the blocks of the ring are in use for the heap and poisoned here, and nobody else may have them. All of it
 * is private to the process, so a killed one takes no block along but those in its ring, which the family then never
 * gets back: MOST_BYTES at most, in a program that is built to look for faults. */
#include "arena/quarantine.h"

#include "arena/member.h"
#include "os/allocate.h"
#include "os/fork.h"
#include "os/leave.h"
#include "os/listed.h"
#include "util/failure.h"
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
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct ring *ring; /* NULL until something is freed in a program that can poison */

static unsigned quarantine_place(unsigned index)
{
    return (ring->first + index) % PLACES;
}

/* The oldest goes to the heap. With the mutex. */
static void quarantine_release(void)
{
    void *block = ring->places[ring->first].block;
    size_t size = ring->places[ring->first].size;

    ring->first = quarantine_place(1);
    ring->count--;
    ring->bytes -= size;
    os_unpoison(block, size);
    (void)heap_free(block);
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
}

static struct ring *quarantine_make(void)
{
    struct ring *made = os_malloc(sizeof *made);
    if (made)
        *made = (struct ring){.count = 0};
    return made;
}

int quarantine_free_poisoned(void *block)
{
    size_t size = heap_usable_size(block);
    if (size == 0 || size > MOST_BYTES / 4)
        return heap_free(block);
    os_mutex_lock(&mutex);
    bool is_freed = quarantine_has(block);
    if (!ring)
        ring = quarantine_make();
    bool takes = !is_freed && ring;
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
    os_mutex_lock(&mutex);
    bool has = quarantine_has(block);
    pthread_mutex_unlock(&mutex);
    return has;
}

OS_FORK_PATH void quarantine_empty(void)
{
    if (!os_can_poison())
        return;
    os_mutex_lock(&mutex);
    while (ring && ring->count)
        quarantine_release();
    pthread_mutex_unlock(&mutex);
}

/* They are the parent's to free. */
static OS_FORK_PATH void quarantine_forget(void)
{
    os_mutex_reset(&mutex, false);
    for (unsigned i = 0; ring && i < ring->count; i++)
        os_unpoison(ring->places[quarantine_place(i)].block, ring->places[quarantine_place(i)].size);
    if (ring)
        *ring = (struct ring){.count = 0};
}

static member_fork_handler *const listed OS_LISTED("mproc_fork_handlers") = quarantine_forget;
