/* What becomes of the memory of handles that were freed. */
#include "pool/host/tag.h"

#include "os/allocate.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* How many are kept. They are small. */
#define KEPT 64

struct kept {
    struct tag *_Atomic tags[KEPT];
};

static _Atomic(struct kept *) kept; /* made by the first that is freed, see os/fork.h */
static _Atomic(unsigned) count;

void tag_note(uint32_t kind, enum tag_kind wanted)
{
    const char *name = wanted == TAG_POOL ? "pool" : wanted == TAG_FUTURE ? "future" : "imap";
    if (kind == TAG_FREED)
        failure(-ESTALE, "the %s was freed", name);
    else
        failure(-EINVAL, kind ? "the handle is of no %s" : "the %s is NULL", name);
}

/* NULL when there is no memory for it: then none are kept. */
static struct kept *find_kept(void)
{
    struct kept *before = load_acquire(&kept);
    struct kept *made = before ? NULL : os_malloc(sizeof *made);
    if (!made)
        return before;
    memset(made, 0, sizeof *made);
    if (atomic_compare_exchange_strong_explicit(&kept, &before, made, memory_order_acq_rel, memory_order_acquire))
        return made;
    free(made);
    return before;
}

void tag_free(struct tag *tag)
{
    struct kept *places = find_kept();
    unsigned place = fetch_add_relaxed(&count, 1) % KEPT;
    free(places ? exchange_acq_rel(&places->tags[place], tag) : tag);
}
