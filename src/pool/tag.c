/* Where the memory of handles goes that were freed. Called by host.c, future.c and imap.c. */
#include "pool/tag.h"

#include "util/failure.h"
#include <stddef.h>
#include <stdlib.h>

/* How many are kept. They are small. */
#define KEPT 64

static struct tag *_Atomic kept[KEPT];
static _Atomic(unsigned) count;

void tag_note(uint32_t kind, enum tag_kind wanted)
{
    const char *name = wanted == TAG_POOL ? "pool" : wanted == TAG_FUTURE ? "future" : "imap";
    if (kind == TAG_FREED)
        failure(-ESTALE, "the %s was freed", name);
    else
        failure(-EINVAL, kind ? "the handle is of no %s" : "the %s is NULL", name);
}

void tag_free(struct tag *tag)
{
    unsigned place = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed) % KEPT;
    free(atomic_exchange_explicit(&kept[place], tag, memory_order_acq_rel));
}
