/* Where the memory of handles goes that were freed. Called by host.c, future.c and imap.c. */
#include "pool/tag.h"

#include <stddef.h>
#include <stdlib.h>

/* How many are kept. They are small. */
#define KEPT 64

static struct tag *_Atomic kept[KEPT];
static _Atomic(unsigned) count;

void tag_free(struct tag *tag)
{
    unsigned place = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) % KEPT;
    free(atomic_exchange_explicit(&kept[place], tag, memory_order_acq_rel));
}
