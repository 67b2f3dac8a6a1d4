/* What an item leaves in blocks of its own: the result that its task took by mproc_task_result(), and the text that it
 * gave to mproc_task_fail(). A job that has room for them has one entry for each item.
 *
 * Who writes: while the item is run, its worker; when that is dead, whoever settles the death, under the pool's lock;
 * when the job is settled, the host.
 *
 * Invariant: a block is named by `result`, by `former`, by both, or by `text`, and by no other entry, or nobody has it.
 * Both name one block only while a worker is about to put a larger one in its place. Commit of a block: the heap's
 * store of its address to its place. Commit of the result: that of the item's outcome, so nobody looks at the entry
 * before. Recovery: yield_clear(), by whoever finds that the item has no outcome, or that nobody will ask for it; it
 * may die and be done again. The host hands a block over by taking its address out of the entry; or all of a map's at
 * once, by taking the entries out of the job (store_forget_yields()). */
#ifndef MPROC_POOL_SHARED_YIELD_H
#define MPROC_POOL_SHARED_YIELD_H

#include "arena/heap.h"
#include "util/atomic.h"
#include <mproc/base.h>
#include <stdarg.h>

struct yield {
    heap_place result;
    heap_place former;    /* what result named before; 0 unless a worker exchanges it */
    heap_place text;      /* a string, or 0 */
    _Atomic(size_t) size; /* of the result, as the task asked for it; means nothing where there is none */
};

/* Free all that it names, which usually is nothing. */
void yield_free(struct yield *yield);

static inline void yield_clear(struct yield *yield)
{
    if (load_acquire(&yield->result) || load_acquire(&yield->former) || load_acquire(&yield->text))
        yield_free(yield);
}

/* Resize the result. Its contents up to the smaller of the two sizes are kept. NULL with errno on failure; the result
 * is unchanged then. */
void *yield_resize(struct yield *yield, size_t size);

/* Set the text, in place of what was there; without memory there is none. */
void yield_set_text(struct yield *yield, const char *format, va_list values);
void yield_drop_text(struct yield *yield);

/* The result and its size, or NULL and 0; and the text, or NULL. They stay where they are. */
void *yield_result(const struct yield *yield, size_t *size);
const char *yield_text(const struct yield *yield);

/* The same, and the caller has it from now on. */
void *yield_take_result(struct yield *yield, size_t *size);

#endif
