/* The lower layer of the heap: the chunk table and its runs.
 *
 * One lock guards the table. Lists of free runs by length, and the count of free pages, are hints beside the truth in
 * the words: whoever takes the lock over from a dead holder finishes or undoes its intent and makes the hints anew by a
 * walk over all runs. Pages are given and taken outside the lock, by the one that owns the run at that time. */
#include "arena/chunks.h"

#include "arena/layout.h"
#include "util/atomic.h"
#include <errno.h>

#define PAGE          ((size_t)4096)
#define ENTRIES_PAGE  (PAGE / sizeof(struct chunk))
#define LIST_COUNT    32
#define FIRST_FIT_TRY 16

/* A freed run of more chunks (8 MiB) goes back to the kernel at once; a smaller one while so many free chunks (32
 * MiB) keep their pages for the next taker. */
#define PUNCH_LENGTH 128u
#define KEPT_CHUNKS  512u

/* Under lock, except top, which anybody may read. */
struct chunk_heap {
    struct owner_lock lock;
    _Atomic(uint32_t) top; /* chunks that belong to runs; only grows. The commit of growing */
    uint32_t backed_table; /* entries whose table pages are there; only grows */
    struct heap_intent intent;
    uint32_t kept;              /* hint: free chunks with pages */
    uint32_t lists[LIST_COUNT]; /* hint: by log2 of the length, the first free run + 1 */
};

static struct chunk_heap *heap(void)
{
    _Static_assert(sizeof(struct chunk_heap) <= 4096, "the chunk heap has the first page of the heap's part");
    return (struct chunk_heap *)(void *)(region.base + LAYOUT_HEAP_OFFSET);
}

static size_t first_chunk_offset(void)
{
    return layout_first_chunk(arena_header()->chunk_limit);
}

struct chunk *chunk_at(unsigned index)
{
    return (struct chunk *)(void *)(region.base + REGION_CHUNK_OFFSET) + index;
}

unsigned char *chunk_address(unsigned index)
{
    return region.base + first_chunk_offset() + (size_t)index * REGION_CHUNK;
}

bool chunk_of(const void *address, unsigned *index)
{
    if (!region_contains(address) || (const unsigned char *)address < chunk_address(0))
        return false;
    *index = (unsigned)((size_t)((const unsigned char *)address - chunk_address(0)) / REGION_CHUNK);
    return *index < load_acquire(&heap()->top);
}

static uint64_t make_word(enum chunk_state state, enum chunk_backing backing, unsigned length)
{
    return (uint64_t)length << 32 | (uint64_t)backing << 8 | state;
}

static void set_word(unsigned index, uint64_t word)
{
    store_release(&chunk_at(index)->word, word);
}

static uint64_t aux(unsigned index)
{
    return load_relaxed(&chunk_at(index)->aux);
}

static void set_aux(unsigned index, uint64_t value)
{
    store_relaxed(&chunk_at(index)->aux, value);
}

/* ---- the hints ---- */

static unsigned list_of(unsigned length)
{
    return 31 - (unsigned)__builtin_clz(length);
}

static void push(unsigned index)
{
    uint64_t word = chunk_word(index);
    unsigned length = chunk_length(word);
    uint32_t *head = &heap()->lists[list_of(length)];
    set_aux(index, (uint64_t)*head << 32);
    if (*head)
        set_aux(*head - 1, (aux(*head - 1) & ~UINT64_C(0xffffffff)) | (index + 1));
    *head = index + 1;
    if (chunk_backing(word) != CHUNK_HOLE)
        heap()->kept += length;
    if (length > 1) {
        set_aux(index + length - 1, index);
        set_word(index + length - 1, CHUNK_TAIL);
    }
}

static void pull(unsigned index)
{
    uint64_t word = chunk_word(index);
    unsigned next = (unsigned)(aux(index) >> 32);
    unsigned previous = (unsigned)aux(index);
    if (previous)
        set_aux(previous - 1, (uint64_t)next << 32 | (uint32_t)aux(previous - 1));
    else
        heap()->lists[list_of(chunk_length(word))] = next;
    if (next)
        set_aux(next - 1, (aux(next - 1) & ~UINT64_C(0xffffffff)) | previous);
    if (chunk_backing(word) != CHUNK_HOLE)
        heap()->kept -= chunk_length(word);
}

static bool is_free(unsigned index)
{
    return chunk_state(chunk_word(index)) == CHUNK_FREE;
}

/* A free word that is about to stand, or to be left, inside a run. Whoever takes over removes it, unless it begins a
 * run. */
static void expect_leftover(unsigned index)
{
    store_release(&heap()->intent.clear, index + 1);
}

static void no_leftover(void)
{
    store_release(&heap()->intent.clear, 0);
}

/* Two free neighbours that are in no list become one: a single store lengthens the first. */
static void merge(unsigned first, unsigned second)
{
    uint64_t a = chunk_word(first);
    uint64_t b = chunk_word(second);
    enum chunk_backing backing = chunk_backing(a) == chunk_backing(b) ? chunk_backing(a) : CHUNK_MIXED;
    expect_leftover(second);
    set_word(first, make_word(CHUNK_FREE, backing, chunk_length(a) + chunk_length(b)));
    set_word(second, CHUNK_INTERIOR);
    no_leftover();
}

static uint32_t top(void)
{
    return load_relaxed(&heap()->top);
}

/* Merge a free run that is in no list with its free neighbours, and put it into its list. */
static unsigned settle(unsigned index)
{
    unsigned next = index + chunk_length(chunk_word(index));
    if (next < top() && is_free(next)) {
        pull(next);
        merge(index, next);
    }
    if (index > 0) {
        uint64_t before = chunk_word(index - 1);
        unsigned head = chunk_state(before) == CHUNK_TAIL ? (unsigned)aux(index - 1) : index - 1;
        if (head < index && is_free(head) && head + chunk_length(chunk_word(head)) == index) {
            pull(head);
            merge(head, index);
            index = head;
        }
    }
    push(index);
    return index;
}

/* ---- the lock, and taking it over ---- */

static void finish_intent(void)
{
    struct heap_intent *intent = &heap()->intent;
    uint32_t kind = load_acquire(&intent->kind);
    heap_place *place = load_relaxed(&intent->place);
    unsigned index = (unsigned)load_relaxed(&intent->block);
    uint64_t word = index < top() ? chunk_word(index) : 0;
    bool used = chunk_state(word) == CHUNK_USED || chunk_state(word) == CHUNK_SPAN;
    bool held = place && *place == (uintptr_t)chunk_address(index);
    if (used && (kind == HEAP_GIVE || (kind == HEAP_TAKE && !held)))
        set_word(index, make_word(CHUNK_FREE, chunk_backing(word), chunk_length(word)));
    if (kind == HEAP_GIVE && held)
        store_release(place, 0);
    heap_intent_done(intent);
}

static void remove_leftover(void)
{
    unsigned leftover = load_relaxed(&heap()->intent.clear);
    if (!leftover)
        return;
    unsigned index = 0;
    while (index < leftover - 1)
        index += chunk_length(chunk_word(index));
    if (index != leftover - 1)
        set_word(leftover - 1, CHUNK_INTERIOR);
    no_leftover();
}

static void make_hints(void)
{
    heap()->kept = 0;
    for (int i = 0; i < LIST_COUNT; i++)
        heap()->lists[i] = 0;
    for (unsigned index = 0; index < top(); index += chunk_length(chunk_word(index))) {
        if (!is_free(index))
            continue;
        unsigned next = index + chunk_length(chunk_word(index));
        while (next < top() && is_free(next)) {
            merge(index, next);
            next = index + chunk_length(chunk_word(index));
        }
        push(index);
    }
}

static int lock(void)
{
    int result = owner_lock_acquire(&heap()->lock, OS_FOREVER);
    if (result != MPROC_OWNER_DIED)
        return result;
    remove_leftover();
    finish_intent();
    make_hints();
    return 0;
}

static void unlock(void)
{
    owner_lock_release(&heap()->lock);
}

/* ---- taking ---- */

static int back_table(unsigned entries)
{
    if (entries <= heap()->backed_table)
        return 0;
    size_t from = heap()->backed_table;
    size_t to = (entries + ENTRIES_PAGE - 1) / ENTRIES_PAGE * ENTRIES_PAGE;
    int result = region_back(REGION_CHUNK_OFFSET + from * sizeof(struct chunk), (to - from) * sizeof(struct chunk));
    if (!result)
        heap()->backed_table = (uint32_t)to;
    return result;
}

/* Lengthen the table by a free run, so that there is one of this length at its end. */
static int grow(unsigned length, unsigned *index)
{
    if (top() > arena_header()->chunk_end || length > arena_header()->chunk_end - top())
        return -ENOMEM;
    int result = back_table(top() + length);
    if (result)
        return result;
    unsigned at = top();
    set_word(at, make_word(CHUNK_FREE, CHUNK_HOLE, length));
    store_release(&heap()->top, at + length);
    *index = settle(at);
    return 0;
}

static bool find_in(unsigned list, unsigned length, unsigned tries, unsigned *index)
{
    for (unsigned at = heap()->lists[list]; at && tries > 0; at = (unsigned)(aux(at - 1) >> 32), tries--) {
        if (chunk_length(chunk_word(at - 1)) >= length) {
            *index = at - 1;
            return true;
        }
    }
    return false;
}

static int find(unsigned length, unsigned *index)
{
    unsigned list = list_of(length);
    if (find_in(list, length, FIRST_FIT_TRY, index))
        return 0;
    for (unsigned larger = list + 1; larger < LIST_COUNT; larger++) {
        if (find_in(larger, length, 1, index))
            return 0;
    }
    int result = grow(length, index);
    return result && find_in(list, length, UINT32_MAX, index) ? 0 : result;
}

int chunks_take(size_t size, heap_place *place, unsigned *index, enum chunk_backing *was)
{
    if (size > (size_t)arena_header()->chunk_end * REGION_CHUNK)
        return -ENOMEM;
    unsigned length = (unsigned)((size + REGION_CHUNK - 1) / REGION_CHUNK);
    int result = lock();
    if (result)
        return result;
    result = find(length, index);
    if (result) {
        unlock();
        return result;
    }
    uint64_t word = chunk_word(*index);
    unsigned rest = chunk_length(word) - length;
    *was = chunk_backing(word);
    pull(*index);
    heap_intend(&heap()->intent, HEAP_TAKE, place, *index);
    if (rest) {
        expect_leftover(*index + length);
        set_word(*index + length, make_word(CHUNK_FREE, *was, rest));
    }
    set_aux(*index, (size + PAGE - 1) & ~(PAGE - 1));
    set_word(*index, make_word(CHUNK_USED, *was, length));
    no_leftover();
    store_release(place, (uintptr_t)chunk_address(*index));
    heap_intent_done(&heap()->intent);
    if (rest)
        push(*index + length);
    unlock();
    return 0;
}

int chunks_back(unsigned index, enum chunk_backing was, bool whole)
{
    if (was == CHUNK_BACKED)
        return 0;
    unsigned length = chunk_length(chunk_word(index));
    size_t size = whole ? length * REGION_CHUNK : aux(index);
    set_word(index, make_word(CHUNK_USED, CHUNK_MIXED, length));
    int result = region_back((size_t)(chunk_address(index) - region.base), size);
    if (!result && size == length * REGION_CHUNK)
        set_word(index, make_word(CHUNK_USED, CHUNK_BACKED, length));
    return result;
}

void chunks_make_span(unsigned index)
{
    set_word(index, make_word(CHUNK_SPAN, CHUNK_BACKED, chunk_length(chunk_word(index))));
}

/* ---- giving ---- */

/* The pages go before the run is free, while it still is the caller's and no lock is held. */
static bool punch(unsigned index, uint64_t word)
{
    size_t offset = (size_t)(chunk_address(index) - region.base);
    return region_punch(offset, chunk_length(word) * REGION_CHUNK) == 0;
}

static bool goes_to_kernel(uint64_t word)
{
    return chunk_length(word) > PUNCH_LENGTH || heap()->kept + chunk_length(word) > KEPT_CHUNKS;
}

int chunks_give(unsigned index, enum chunk_state state, heap_place *place)
{
    int result = lock();
    if (result)
        return result;
    if (!heap_is_placed(place, chunk_address(index))) {
        unlock();
        return 0;
    }
    uint64_t word = chunk_word(index);
    enum chunk_backing backing = chunk_backing(word);
    if (chunk_state(word) == state && backing != CHUNK_HOLE && goes_to_kernel(word)) {
        unlock();
        if (punch(index, word))
            backing = CHUNK_HOLE;
        result = lock();
        if (result)
            return result;
        word = chunk_word(index);
    }
    if (chunk_state(word) != state) {
        unlock();
        return HEAP_NO_BLOCK;
    }
    heap_intend(&heap()->intent, HEAP_GIVE, place, index);
    set_word(index, make_word(CHUNK_FREE, backing, chunk_length(word)));
    if (place)
        store_release(place, 0);
    heap_intent_done(&heap()->intent);
    settle(index);
    unlock();
    return 0;
}

int chunks_shrink(unsigned index, size_t size)
{
    unsigned keep = (unsigned)((size + REGION_CHUNK - 1) / REGION_CHUNK);
    size_t offset = (size_t)(chunk_address(index) - region.base);
    uint64_t word = chunk_word(index);
    unsigned rest = chunk_length(word) - keep;
    size = (size + PAGE - 1) & ~(PAGE - 1);
    bool hole = region_punch(offset + size, chunk_length(word) * REGION_CHUNK - size) == 0;
    int result = lock();
    if (result)
        return result;
    set_aux(index, size);
    enum chunk_backing backing = hole && size < keep * REGION_CHUNK ? CHUNK_MIXED : chunk_backing(word);
    if (rest) {
        expect_leftover(index + keep);
        set_word(index + keep, make_word(CHUNK_FREE, hole ? CHUNK_HOLE : CHUNK_MIXED, rest));
    }
    set_word(index, make_word(CHUNK_USED, backing, keep));
    no_leftover();
    if (rest)
        settle(index + keep);
    unlock();
    return 0;
}

/* ---- looking at all ---- */

bool chunks_walk(void (*visit)(void *arg, unsigned index, uint64_t word), void *arg)
{
    if (lock())
        return false;
    for (unsigned index = 0; index < top(); index += chunk_length(chunk_word(index))) {
        if (!is_free(index))
            visit(arg, index, chunk_word(index));
    }
    unlock();
    return true;
}

static const char *audit_runs(uint32_t *free_runs, uint32_t *kept)
{
    unsigned index = 0;
    bool after_free = false;
    while (index < top()) {
        uint64_t word = chunk_word(index);
        enum chunk_state state = chunk_state(word);
        if (chunk_length(word) == 0 || chunk_length(word) > top() - index)
            return "a run has no length, or reaches beyond the top";
        if (state != CHUNK_FREE && state != CHUNK_USED && state != CHUNK_SPAN)
            return "a run begins with an interior word";
        if (state == CHUNK_FREE && after_free)
            return "two free runs are neighbours";
        for (unsigned i = index + 1; state == CHUNK_FREE && i < index + chunk_length(word); i++) {
            if (chunk_state(chunk_word(i)) != CHUNK_INTERIOR && chunk_state(chunk_word(i)) != CHUNK_TAIL)
                return "a free run has a first word inside";
        }
        after_free = state == CHUNK_FREE;
        *free_runs += after_free;
        *kept += after_free && chunk_backing(word) != CHUNK_HOLE ? chunk_length(word) : 0;
        index += chunk_length(word);
    }
    return index == top() ? NULL : "the runs do not end at the top";
}

static const char *audit_lists(uint32_t free_runs, uint32_t kept)
{
    uint32_t listed = 0;
    for (unsigned list = 0; list < LIST_COUNT; list++) {
        for (unsigned at = heap()->lists[list]; at; at = (unsigned)(aux(at - 1) >> 32)) {
            if (at > top() || !is_free(at - 1) || list_of(chunk_length(chunk_word(at - 1))) != list)
                return "a list holds a run that does not belong there";
            if (++listed > free_runs)
                return "a list holds a run twice";
        }
    }
    if (listed != free_runs)
        return "a free run is in no list";
    return kept == heap()->kept ? NULL : "the count of kept chunks is wrong";
}

const char *chunks_audit(void)
{
    if (lock())
        return "the chunk lock cannot be had";
    uint32_t free_runs = 0;
    uint32_t kept = 0;
    const char *wrong = audit_runs(&free_runs, &kept);
    if (!wrong)
        wrong = audit_lists(free_runs, kept);
    unlock();
    return wrong;
}
