/* The heap: small blocks from spans, large ones as runs of chunks; and the blocks that a dead process left half-way. */
#include "arena/heap.h"

#include "arena/ledger.h"
#include "arena/spans.h"
#include "arena/trace.h"
#include "os/listed.h"
#include "os/thread.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <string.h>

/* Whether a large block is known to be zero. */
static int take_large(size_t size, heap_place *place, void **block, bool *zero)
{
    unsigned index;
    enum chunk_backing was;
    int result = chunks_take(size, place, &index, &was);
    if (result)
        return result;
    result = chunks_back(index, was, false);
    if (result) {
        chunks_give(index, CHUNK_USED, place);
        return result;
    }
    *block = chunk_address(index);
    *zero = was == CHUNK_HOLE;
    return 0;
}

/* A cell of this member's ledger that no other thread uses. There are more than threads that are likely to be here. */
static struct custody *claim_custody(void)
{
    struct ledger *ledger = ledger_at(member_slot(member_current()));
    for (unsigned i = 0;; i = (i + 1) % LEDGER_CUSTODY_COUNT) {
        uint32_t unclaimed = 0;
        if (compare_exchange_acquire(&ledger->custody[i].claimed, &unclaimed, 1))
            return &ledger->custody[i];
        if (i == LEDGER_CUSTODY_COUNT - 1)
            os_thread_yield();
    }
}

static int take_large_for_caller(size_t size, void **block, bool *zero)
{
    struct custody *custody = claim_custody();
    int result = take_large(size, &custody->block, block, zero);
    store_release(&custody->block, 0);
    store_release(&custody->claimed, 0);
    return result;
}

/* With the trace at its end. */
static size_t whole_size(const void *block)
{
    unsigned index;
    if (!chunk_of(block, &index))
        return 0;
    uint64_t word = chunk_word(index);
    if (chunk_state(word) == CHUNK_SPAN)
        return spans_size(index, block);
    if (chunk_state(word) != CHUNK_USED || block != chunk_address(index))
        return 0;
    return load_relaxed(&chunk_at(index)->aux);
}

/* What stands first in a block that this member frees. Its upper half is even: so it is no object's stamp. */
static uint64_t mark_of(member_owner owner)
{
    _Static_assert(REGION_MEMBERS < 1u << 15, "a slot has 15 bits");
    return (owner & ~MEMBER_FLAGS) << 1;
}

/* A block that was to be marked is left alone unless it was: somebody else may have freed it since. */
static void look_for_mark(struct custody *custody, member_owner owner)
{
    uintptr_t block = load_acquire(&custody->block);
    if (block && load_relaxed(&custody->is_marked) &&
        (heap_usable_size((void *)block) == 0 || *(_Atomic(uint64_t) *)block != mark_of(owner)))
        store_release(&custody->block, 0);
    store_release(&custody->is_marked, 0);
}

static bool sweep_custody(unsigned slot, member_owner owner)
{
    for (unsigned i = 0; i < LEDGER_CUSTODY_COUNT; i++) {
        struct custody *custody = &ledger_at(slot)->custody[i];
        look_for_mark(custody, owner);
        if (heap_free_from(&custody->block) < 0)
            store_release(&custody->block, 0);
        store_relaxed(&custody->claimed, 0);
    }
    spans_mend(owner);
    return true;
}

static member_sweeper *const listed OS_LISTED("mproc_sweepers") = sweep_custody;

static int take_any(size_t size, heap_place *place, void **block, bool *zero)
{
    if (size <= SPAN_LARGEST)
        return spans_take(size, place, block);
    return place ? take_large(size, place, block, zero) : take_large_for_caller(size, block, zero);
}

/* Where there is no room, the dead may have what is missing. */
static int take(size_t size, heap_place *place, void **block, bool *zero)
{
    *block = NULL;
    *zero = false;
    if (size == 0)
        return failure(-EINVAL, "size is 0");
    int result = member_need();
    if (result)
        return result;
    size_t trace = trace_size();
    if (size > SIZE_MAX - trace)
        return failure(-ENOMEM, "the family's memory has no room for %zu bytes more", size);
    result = take_any(size + trace, place, block, zero);
    if (result == -ENOMEM && member_sweep_all())
        result = take_any(size + trace, place, block, zero);
    if (result == -ENOMEM)
        failure(result, "the family's memory has no room for %zu bytes more", size);
    if (trace && !result)
        trace_note(*block, whole_size(*block));
    return result;
}

int heap_alloc(size_t size, heap_place *place, void **block)
{
    bool zero;
    return take(size, place, block, &zero);
}

int heap_alloc_zeroed(size_t size, heap_place *place, void **block)
{
    bool zero;
    int result = take(size, place, block, &zero);
    if (!result && !zero)
        memset(*block, 0, size);
    return result;
}

/* Free a large block that no place holds. To give the pages back takes long: that a death meanwhile does not leak the
 * block, it is in custody. */
static int give_large_of_caller(unsigned index)
{
    struct custody *custody = claim_custody();
    store_release(&custody->block, (uintptr_t)chunk_address(index));
    int result = chunks_give(index, CHUNK_USED, &custody->block);
    store_release(&custody->block, 0);
    store_release(&custody->claimed, 0);
    return result;
}

static int give(void *block, heap_place *place)
{
    unsigned index;
    int result = member_need();
    if (result)
        return result;
    if (!chunk_of(block, &index))
        return HEAP_NO_BLOCK;
    if (chunk_state(chunk_word(index)) == CHUNK_SPAN)
        return spans_give(index, block, place);
    if (block != chunk_address(index))
        return HEAP_NO_BLOCK;
    if (place) /* whatever state it is in: a dead process may have begun to free it */
        return chunks_give(index, CHUNK_USED, place);
    return chunk_state(chunk_word(index)) == CHUNK_USED ? give_large_of_caller(index) : HEAP_NO_BLOCK;
}

int heap_free(void *block)
{
    return give(block, NULL);
}

int heap_free_from(heap_place *place)
{
    uintptr_t block = load_acquire(place);
    int result = block ? give((void *)block, place) : 0;
    bool left = result == HEAP_NO_BLOCK && load_acquire(place) != block;
    return left ? 0 : result; /* freed meanwhile, by whoever finished what a dead process had begun */
}

/* Once the word is written the cell frees the block whatever becomes of its contents: the kernel may have the pages
 * before the block is free. */
int heap_free_marked(_Atomic(uint64_t) *block)
{
    int result = member_need();
    if (result)
        return result;
    if (heap_usable_size(block) == 0)
        return HEAP_NO_BLOCK;
    struct custody *custody = claim_custody();
    store_release(&custody->is_marked, 1);
    store_release(&custody->block, (uintptr_t)block);
    store_release(block, mark_of(member_current())); /* commit */
    store_release(&custody->is_marked, 0);
    result = heap_free_from(&custody->block);
    store_release(&custody->block, 0);
    store_release(&custody->claimed, 0);
    return result;
}

size_t heap_usable_size(const void *block)
{
    size_t size = whole_size(block);
    return size ? size - trace_size() : 0;
}

bool heap_shrink(void *block, size_t size)
{
    unsigned index;
    size_t whole = size + trace_size();
    if (!chunk_of(block, &index) || whole <= SPAN_LARGEST || chunk_state(chunk_word(index)) != CHUNK_USED ||
        chunks_shrink(index, whole))
        return false;
    if (trace_size())
        trace_note(block, whole_size(block));
    return true;
}

static void add_run(void *arg, unsigned index, uint64_t word)
{
    size_t *total = arg;
    if (chunk_state(word) == CHUNK_SPAN)
        *total += spans_used(index);
    else
        *total += load_relaxed(&chunk_at(index)->aux);
}

size_t heap_allocated(void)
{
    size_t total = 0;
    chunks_walk(add_run, &total);
    return total;
}

const char *heap_audit(void)
{
    const char *wrong = spans_audit();
    return wrong ? wrong : chunks_audit();
}
