/* The upper layer of the heap: small blocks in spans of one chunk. The chunks come from chunks.c.
 *
 * A span holds blocks of one size; a bitmap in it is the truth, one bit per block in use. Spans belong to a class: one
 * per size and shard, with a lock of its own; a process takes from the shard that its slot picks, so that processes
 * seldom meet. Commit of taking and giving a block: the store of the bitmap word. The class lists its spans that have
 * room, as a hint: whoever takes the lock over from a dead holder finishes or undoes the one block in the intent, gives
 * back a chunk that was not a span yet, and makes the list and the counts anew.
 *
 * Locks are taken in this order: class, chunks. */
#include "arena/spans.h"

#include "arena/layout.h"
#include "util/atomic.h"
#include <errno.h>

#define SHARD_COUNT 8u
#define CLASS_COUNT 31u
#define CLASS_NONE  UINT32_MAX

/* The sizes: 16, 32, 48, 64, then by 64 to 1024, then four steps to each doubling. */
static const uint16_t class_sizes[CLASS_COUNT] = {16,   32,   48,   64,   128,  192,  256,  320,  384,  448,  512,
                                                  576,  640,  704,  768,  832,  896,  960,  1024, 1280, 1536, 1792,
                                                  2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192};

/* Under lock. */
struct span_class {
    struct owner_lock lock;
    struct heap_intent intent;
    heap_place incoming; /* a chunk taken that is not a span of this class yet; its owner is this class */
    uint32_t with_room;  /* hint: first chunk + 1 of the list of spans with a free block */
    uint32_t empty;      /* hint: how many spans of the list have no block in use */
};

/* At the start of each span. Under the lock of its class. size, capacity, first and class_index are written before the
 * chunk is a span, and stay. */
struct span {
    uint32_t class_index;
    uint32_t size;
    uint32_t capacity;
    uint32_t first;    /* offset of block 0 */
    uint32_t used;     /* hint: bits that are set */
    uint32_t next;     /* hint: the list, chunks + 1 */
    uint32_t previous; /* hint */
    uint32_t listed;   /* hint */
    uint32_t look_at;  /* hint: the bitmap word where a free block was last seen */
    _Atomic(uint64_t) bits[];
};

static struct span_class *class_at(unsigned class_index)
{
    _Static_assert(4096 + CLASS_COUNT * SHARD_COUNT * 128 <= LAYOUT_HEAP_SIZE, "the classes fit behind the chunk heap");
    _Static_assert(sizeof(struct span_class) <= 128, "a class has two cache lines");
    return (struct span_class *)(void *)(region.base + LAYOUT_HEAP_OFFSET + 4096 + class_index * 128ul);
}

static struct span *span_at(unsigned index)
{
    return (struct span *)(void *)chunk_address(index);
}

static unsigned size_class(size_t size)
{
    if (size <= 64)
        return (unsigned)((size + 15) / 16 - 1);
    if (size <= 1024)
        return 3 + (unsigned)((size + 63) / 64 - 1);
    unsigned class = 19;
    while (class_sizes[class] < size)
        class ++;
    return class;
}

static unsigned words_of(const struct span *span)
{
    return (span->capacity + 63) / 64;
}

static unsigned count_used(const struct span *span)
{
    unsigned used = 0;
    for (unsigned i = 0; i < words_of(span); i++)
        used += (unsigned)__builtin_popcountll(load_relaxed(&span->bits[i]));
    return used;
}

/* ---- the list of spans with room ---- */

static void enlist(struct span_class *class, unsigned index)
{
    struct span *span = span_at(index);
    span->next = class->with_room;
    span->previous = 0;
    span->listed = 1;
    if (class->with_room)
        span_at(class->with_room - 1)->previous = index + 1;
    class->with_room = index + 1;
}

static void delist(struct span_class *class, unsigned index)
{
    struct span *span = span_at(index);
    if (span->previous)
        span_at(span->previous - 1)->next = span->next;
    else
        class->with_room = span->next;
    if (span->next)
        span_at(span->next - 1)->previous = span->previous;
    span->listed = 0;
}

/* ---- the lock, and taking it over ---- */

static bool block_bit(const struct span *span, const void *block, unsigned *bit)
{
    size_t offset = (size_t)((const unsigned char *)block - (const unsigned char *)span);
    if (offset < span->first || (offset - span->first) % span->size != 0)
        return false;
    *bit = (unsigned)((offset - span->first) / span->size);
    return *bit < span->capacity;
}

static bool is_set(const struct span *span, unsigned bit)
{
    return load_relaxed(&span->bits[bit / 64]) >> bit % 64 & 1;
}

static void flip(struct span *span, unsigned bit)
{
    uint64_t word = load_relaxed(&span->bits[bit / 64]);
    store_release(&span->bits[bit / 64], word ^ UINT64_C(1) << bit % 64);
}

static void finish_intent(struct heap_intent *intent)
{
    uint32_t kind = load_acquire(&intent->kind);
    if (kind == HEAP_NOTHING)
        return;
    heap_place *place = load_relaxed(&intent->place);
    uintptr_t block = load_relaxed(&intent->block);
    unsigned index;
    unsigned bit;
    bool held = place && load_acquire(place) == block;
    if ((kind == HEAP_GIVE || !held) && chunk_of((void *)block, &index) &&
        block_bit(span_at(index), (void *)block, &bit) && is_set(span_at(index), bit))
        flip(span_at(index), bit);
    if (kind == HEAP_GIVE && held)
        store_release(place, 0);
    heap_intent_done(intent);
}

static void finish_incoming(struct span_class *class)
{
    uintptr_t block = load_acquire(&class->incoming);
    unsigned index;
    if (block && chunk_of((void *)block, &index) && chunk_state(chunk_word(index)) == CHUNK_USED)
        chunks_give(index, CHUNK_USED, &class->incoming);
    else
        store_release(&class->incoming, 0);
}

static void relist(void *arg, unsigned index, uint64_t word)
{
    unsigned class_index = *(unsigned *)arg;
    struct span *span = span_at(index);
    if (chunk_state(word) != CHUNK_SPAN || span->class_index != class_index)
        return;
    span->used = count_used(span);
    span->look_at = 0;
    span->listed = 0;
    if (span->used == span->capacity)
        return;
    enlist(class_at(class_index), index);
    class_at(class_index)->empty += span->used == 0;
}

static int lock(unsigned class_index)
{
    struct span_class *class = class_at(class_index);
    int result = owner_lock_acquire(&class->lock, OS_FOREVER);
    if (result != MPROC_OWNER_DIED)
        return result;
    finish_intent(&class->intent);
    finish_incoming(class);
    class->with_room = 0;
    class->empty = 0;
    chunks_walk(relist, &class_index);
    return 0;
}

static void unlock(unsigned class_index)
{
    owner_lock_release(&class_at(class_index)->lock);
}

void spans_mend(member_owner dead)
{
    for (unsigned class_index = 0; class_index < CLASS_COUNT * SHARD_COUNT; class_index++) {
        uint64_t word = load_relaxed(&class_at(class_index)->lock.word);
        if (word && (word & ~MEMBER_FLAGS) == (dead & ~MEMBER_FLAGS) && lock(class_index) == 0)
            unlock(class_index);
    }
}

/* ---- taking ---- */

static void draw(struct span *span, unsigned class_index)
{
    uint32_t size = class_sizes[class_index / SHARD_COUNT];
    uint32_t capacity = (uint32_t)((REGION_CHUNK - sizeof *span) / size);
    uint32_t first;
    do {
        first = (uint32_t)(sizeof *span + (capacity + 63) / 64 * 8 + 63) & ~63u;
    } while (first + capacity * size > REGION_CHUNK && --capacity);
    *span = (struct span){.class_index = class_index, .size = size, .capacity = capacity, .first = first};
    for (unsigned i = 0; i < words_of(span); i++)
        store_relaxed(&span->bits[i], 0);
}

static int add_span(unsigned class_index)
{
    struct span_class *class = class_at(class_index);
    unsigned index;
    enum chunk_backing was;
    int result = chunks_take(REGION_CHUNK, &class->incoming, &index, &was);
    if (result)
        return result;
    result = chunks_back(index, was, true);
    if (result) {
        chunks_give(index, CHUNK_USED, &class->incoming);
        return result;
    }
    draw(span_at(index), class_index);
    chunks_make_span(index);
    store_release(&class->incoming, 0);
    enlist(class, index);
    class->empty++;
    return 0;
}

static unsigned find_bit(struct span *span)
{
    for (unsigned i = span->look_at;; i = i + 1 < words_of(span) ? i + 1 : 0) {
        uint64_t unused = ~load_relaxed(&span->bits[i]);
        if (i == words_of(span) - 1 && span->capacity % 64)
            unused &= (UINT64_C(1) << span->capacity % 64) - 1;
        if (unused) {
            span->look_at = i;
            return i * 64 + (unsigned)__builtin_ctzll(unused);
        }
    }
}

int spans_take(size_t size, heap_place *place, void **block)
{
    unsigned class_index = size_class(size) * SHARD_COUNT + member_slot(member_self()) % SHARD_COUNT;
    struct span_class *class = class_at(class_index);
    int result = lock(class_index);
    if (result)
        return result;
    if (!class->with_room)
        result = add_span(class_index);
    if (!result) {
        unsigned index = class->with_room - 1;
        struct span *span = span_at(index);
        unsigned bit = find_bit(span);
        *block = (unsigned char *)span + span->first + (size_t)bit * span->size;
        heap_intend(&class->intent, HEAP_TAKE, place, (uintptr_t)*block);
        flip(span, bit);
        if (place)
            store_release(place, (uintptr_t)*block);
        heap_intent_done(&class->intent);
        class->empty -= span->used == 0;
        if (++span->used == span->capacity)
            delist(class, index);
    }
    unlock(class_index);
    return result;
}

/* ---- giving ---- */

/* The class keeps one empty span, so that a process that takes and gives one block does not take and give a chunk. */
static void after_give(struct span_class *class, unsigned index)
{
    struct span *span = span_at(index);
    if (!span->listed)
        enlist(class, index);
    if (--span->used > 0)
        return;
    if (class->empty == 0) {
        class->empty = 1;
        return;
    }
    delist(class, index);
    chunks_give(index, CHUNK_SPAN, NULL);
}

/* The span as it is now, with its class locked. HEAP_NO_BLOCK when the chunk is no span any more. */
static int lock_span(unsigned index, unsigned *class_index)
{
    for (;;) {
        if (chunk_state(chunk_word(index)) != CHUNK_SPAN)
            return HEAP_NO_BLOCK;
        *class_index = __atomic_load_n(&span_at(index)->class_index, __ATOMIC_RELAXED);
        if (*class_index >= CLASS_COUNT * SHARD_COUNT)
            return HEAP_NO_BLOCK;
        int result = lock(*class_index);
        if (result)
            return result;
        if (chunk_state(chunk_word(index)) == CHUNK_SPAN && span_at(index)->class_index == *class_index)
            return 0;
        unlock(*class_index);
    }
}

int spans_give(unsigned index, void *block, heap_place *place)
{
    unsigned class_index;
    int result = lock_span(index, &class_index);
    if (result)
        return result;
    struct span_class *class = class_at(class_index);
    struct span *span = span_at(index);
    unsigned bit;
    if (!heap_is_placed(place, block)) {
        result = 0;
    } else if (block_bit(span, block, &bit) && is_set(span, bit)) {
        heap_intend(&class->intent, HEAP_GIVE, place, (uintptr_t)block);
        flip(span, bit);
        if (place)
            store_release(place, 0);
        heap_intent_done(&class->intent);
        after_give(class, index);
    } else {
        result = HEAP_NO_BLOCK;
    }
    unlock(class_index);
    return result;
}

/* ---- looking ---- */

size_t spans_size(unsigned index, const void *block)
{
    const struct span *span = span_at(index);
    unsigned bit;
    return block_bit(span, block, &bit) && is_set(span, bit) ? span->size : 0;
}

size_t spans_used(unsigned index)
{
    return (size_t)count_used(span_at(index)) * span_at(index)->size;
}

void spans_each_block(unsigned index, void (*visit)(void *arg, const void *block, size_t size), void *arg)
{
    const struct span *span = span_at(index);
    for (unsigned bit = 0; bit < span->capacity; bit++)
        if (is_set(span, bit))
            visit(arg, (const unsigned char *)span + span->first + (size_t)bit * span->size, span->size);
}

struct audit {
    uint32_t listed;
    uint32_t empty;
    const char *wrong;
    unsigned class_index;
};

static void audit_span(void *arg, unsigned index, uint64_t word)
{
    struct audit *audit = arg;
    const struct span *span = span_at(index);
    if (chunk_state(word) != CHUNK_SPAN || span->class_index != audit->class_index)
        return;
    if (span->used != count_used(span))
        audit->wrong = "a span's count is wrong";
    if ((span->used < span->capacity) != (span->listed != 0))
        audit->wrong = "a span with room is not in its list";
    audit->listed += span->listed;
    audit->empty += span->used == 0;
}

static const char *audit_class(unsigned class_index)
{
    if (lock(class_index))
        return "a class lock cannot be had";
    struct audit audit = {.class_index = class_index};
    const struct span_class *class = class_at(class_index);
    if (!chunks_walk(audit_span, &audit))
        audit.wrong = "the chunk lock cannot be had";
    uint32_t listed = 0;
    for (unsigned at = class->with_room; at && listed <= audit.listed; at = span_at(at - 1)->next)
        listed++;
    if (listed != audit.listed)
        audit.wrong = "a class's list is wrong";
    if (audit.empty != class->empty)
        audit.wrong = "a class's count of empty spans is wrong";
    if (load_relaxed(&class->incoming))
        audit.wrong = "a class has a chunk that is no span";
    unlock(class_index);
    return audit.wrong;
}

const char *spans_audit(void)
{
    for (unsigned class_index = 0; class_index < CLASS_COUNT * SHARD_COUNT; class_index++) {
        const char *wrong = audit_class(class_index);
        if (wrong)
            return wrong;
    }
    return NULL;
}
