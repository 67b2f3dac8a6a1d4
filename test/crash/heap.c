/* The crash cases of the heap. */
#include "arena/ledger.h"
#include "arena/member.h"
#include "arena/spans.h"
#include "crash.h"
#include <errno.h>
#include <mproc/memory.h>
#include <stdatomic.h>
#include <string.h>

#define SMALL       ((size_t)100)
#define MEDIUM      ((size_t)20000)
#define LARGE       ((size_t)3 << 20)
#define BLOCKS_MOST 4096
#define BLOCKS_OWN  16
#define NEW_SIZE    ((size_t)7000) /* a size that nothing else uses, so that each world begins without a span for it */

struct heap_world {
    heap_place place;  /* where the victim's block is published */
    heap_place second; /* where the repairer's is */
    heap_place made;   /* where the block of another size is */
    heap_place beside; /* another one, in the same class of spans as the victim's */
    size_t size;
    size_t new_size;
    bool filled; /* the blocks are the victim's, and not in the books */
    void *blocks[BLOCKS_OWN];
};

static void *build_for(size_t size)
{
    struct heap_world *world = world_alloc(sizeof *world);
    world->size = size;
    return world;
}

static void *build_small(void)
{
    struct heap_world *world = build_for(SMALL);
    world->blocks[0] = mproc_alloc(SMALL);
    heap_note();
    return world;
}

static void *build_span(void)
{
    void *world = build_for(NEW_SIZE);
    heap_note();
    return world;
}

static void *build_medium(void)
{
    void *world = build_for(MEDIUM);
    heap_note();
    return world;
}

static void *build_large(void)
{
    void *world = build_for(LARGE);
    heap_note();
    return world;
}

static void alloc_published(void *arg)
{
    struct heap_world *world = arg;
    void *block;
    heap_alloc(world->size, &world->place, &block);
}

static void alloc_returned(void *arg)
{
    struct heap_world *world = arg;
    void *block = mproc_alloc(world->size);
    atomic_store(&world->place, (uintptr_t)block);
}

static const char *use_heap(size_t size)
{
    unsigned char *block = mproc_alloc(size);
    if (!block)
        return "a survivor gets no memory";
    memset(block, 0xee, size);
    return mproc_free(block) ? "a survivor cannot free" : NULL;
}

/* Processes take small blocks from different shards. So what is beside the victim's block is taken by the victim, or
 * for a block that is freed, by the one that made it. */
static void take_beside(void *arg)
{
    struct heap_world *world = arg;
    void *block;
    heap_alloc(world->size, &world->beside, &block);
}

/* Who mends takes over the locks that a dead process held: by using what it used. */
static void repair(void *arg)
{
    struct heap_world *world = arg;
    void *block;
    heap_free_from(&world->beside);
    heap_alloc(world->size, &world->second, &block);
    heap_free_from(&world->second);
    member_sweep_all();
}

/* Before anything else is done to the heap: whoever takes a lock over has left nothing half done. Then use it, and give
 * back what is there beside the victim's block. */
static const char *survive(struct heap_world *world)
{
    const char *wrong = heap_audit();
    if (!wrong)
        wrong = use_heap(world->size);
    heap_free_from(&world->second);
    heap_free_from(&world->beside);
    for (int i = 0; i < BLOCKS_OWN && world->filled; i++) {
        mproc_free(world->blocks[i]);
        world->blocks[i] = NULL;
    }
    return wrong;
}

static const char *check_published(void *arg, bool finished)
{
    struct heap_world *world = arg;
    const char *wrong = survive(world);
    uintptr_t block = atomic_load(&world->place);
    if (!wrong && finished && !block)
        wrong = "the block was not published";
    size_t more = block ? heap_usable_size((void *)block) : 0;
    if (!wrong && block && !more)
        wrong = "what was published is no block";
    if (!wrong)
        wrong = heap_balance(more);
    if (heap_free_from(&world->place))
        wrong = wrong ? wrong : "the block cannot be freed";
    return wrong ? wrong : heap_balance(0);
}

/* ---- blocks that a function returns: from its last instructions on they are the caller's, who dies with them. The
 * family's they are still, so here whoever finds them frees them; but there must be no more than one, and whole. ----
 */

static struct {
    void *blocks[BLOCKS_MOST];
    size_t count;
} found_before;

static bool unclaimed_is_filled;

static void note_blocks(void)
{
    found_before.count = heap_inventory(found_before.blocks, BLOCKS_MOST);
}

static bool was_before(const void *block)
{
    for (size_t i = 0; i < found_before.count; i++) {
        if (found_before.blocks[i] == block)
            return true;
    }
    return false;
}

static bool is_filled(const unsigned char *block, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (block[i] != 0x5a)
            return false;
    }
    return true;
}

/* Free what has come since note_blocks(), but for one block. Returns how many that were, of so many bytes
 * at least; of the last of them, whether the contents were kept. */
static size_t free_unclaimed(const void *claimed, size_t size, size_t kept)
{
    static void *now[BLOCKS_MOST];
    size_t freed = 0;
    member_sweep_all();
    size_t count = heap_inventory(now, BLOCKS_MOST);
    for (size_t i = 0; i < count; i++) {
        if (now[i] != claimed && !was_before(now[i]) && heap_usable_size(now[i]) >= size) {
            unclaimed_is_filled = is_filled(now[i], kept);
            memset(now[i], 0, kept);
            freed += heap_free(now[i]) == 0;
        }
    }
    return freed;
}

/* Whether a ledger says that a block was taken and not handed over yet. */
static bool is_in_custody(void)
{
    for (unsigned slot = 0; slot < 16; slot++) {
        for (unsigned i = 0; i < LEDGER_CUSTODY_COUNT; i++) {
            if (atomic_load(&member_at(slot)->ledger_pages) && atomic_load(&ledger_at(slot)->custody[i].block))
                return true;
        }
    }
    return false;
}

static void *build_small_returned(void)
{
    void *world = build_small();
    note_blocks();
    return world;
}

static void *build_large_returned(void)
{
    void *world = build_large();
    note_blocks();
    return world;
}

static const char *check_returned(void *arg, bool finished)
{
    struct heap_world *world = arg;
    bool in_custody = is_in_custody();
    const char *wrong = survive(world);
    size_t unclaimed = free_unclaimed((void *)atomic_load(&world->place), world->size, 0);
    if (unclaimed > 1 || (unclaimed && (atomic_load(&world->place) || in_custody)))
        return "a block was left that was not handed over";
    return wrong ? wrong : check_published(world, finished);
}

static void *build_block(size_t size)
{
    struct heap_world *world = build_for(size);
    void *block;
    heap_note();
    heap_alloc(size, &world->place, &block);
    memset(block, 1, size);
    return world;
}

static void *build_small_block(void)
{
    struct heap_world *world = build_for(SMALL);
    void *block;
    heap_note();
    take_beside(world);
    heap_alloc(SMALL, &world->place, &block);
    return world;
}

/* Take blocks until a span has so few left. A class whose blocks are all free keeps one empty span. */
static void fill_span(struct heap_world *world, unsigned left)
{
    unsigned index;
    unsigned count = 0;
    do {
        world->blocks[count++] = mproc_alloc(NEW_SIZE);
        chunk_of(world->blocks[0], &index);
    } while (spans_used(index) + (1 + left) * heap_usable_size(world->blocks[0]) <= REGION_CHUNK - 1024);
}

/* The next block is the last of its span. */
static void leave_one(void *arg)
{
    struct heap_world *world = arg;
    world->filled = true;
    fill_span(world, 1);
}

/* The next block needs a new span. */
static void leave_none(void *arg)
{
    struct heap_world *world = arg;
    world->filled = true;
    fill_span(world, 0);
}

/* One block of a full span. */
static void *build_block_of_full_span(void)
{
    struct heap_world *world = build_for(NEW_SIZE);
    void *block;
    fill_span(world, 1);
    heap_note();
    heap_alloc(NEW_SIZE, &world->place, &block);
    return world;
}

/* The run that is found is larger than what is needed, and has its pages. */
static void *build_larger_free_run(void)
{
    struct heap_world *world = build_for(MEDIUM);
    void *large = mproc_alloc(8 * MEDIUM);
    world->blocks[0] = mproc_alloc(MEDIUM);
    mproc_free(large);
    heap_note();
    return world;
}

/* The only block of its span, which stays, for a class keeps one empty span. */
static void *build_last_of_span(void)
{
    struct heap_world *world = build_for(NEW_SIZE);
    void *block;
    heap_note();
    heap_alloc(NEW_SIZE, &world->place, &block);
    return world;
}

/* The same beside a span that is empty: this one goes. */
static void *build_last_of_second_span(void)
{
    struct heap_world *world = build_for(NEW_SIZE);
    void *block;
    heap_note();
    fill_span(world, 0);
    heap_alloc(NEW_SIZE, &world->place, &block);
    for (int i = 0; i < BLOCKS_OWN; i++) {
        mproc_free(world->blocks[i]);
        world->blocks[i] = NULL;
    }
    return world;
}

static void *build_large_block(void)
{
    return build_block(LARGE);
}

/* A used run between two free ones, so that freeing it merges on both sides. */
static void *build_between_free_runs(void)
{
    struct heap_world *world = build_for(MEDIUM);
    void *block;
    heap_note();
    void *before = mproc_alloc(MEDIUM);
    heap_alloc(MEDIUM, &world->place, &block);
    void *after = mproc_alloc(MEDIUM);
    void *behind = mproc_alloc(MEDIUM);
    mproc_free(before);
    mproc_free(after);
    world->blocks[0] = behind;
    heap_note();
    heap_note_less(heap_usable_size(block));
    return world;
}

static void free_published(void *arg)
{
    struct heap_world *world = arg;
    heap_free_from(&world->place);
}

/* The same by the public function, which has no place to clear. */
static void free_plainly(void *arg)
{
    struct heap_world *world = arg;
    mproc_free((void *)atomic_load(&world->place));
}

static const char *check_freed_plainly(void *arg, bool finished)
{
    struct heap_world *world = arg;
    const char *wrong = survive(world); /* takes the lock over, and finishes what was begun */
    void *block = (void *)atomic_exchange(&world->place, 0);
    member_sweep_all();
    bool in_use = heap_usable_size(block) > 0;
    if (finished && in_use)
        return "the block was not freed";
    if (mproc_free(block) != (in_use ? 0 : -EINVAL))
        return "a block is neither free nor in use";
    return wrong ? wrong : heap_balance(0);
}

static const char *check_freed(void *arg, bool finished)
{
    struct heap_world *world = arg;
    const char *wrong = survive(world);
    uintptr_t block = atomic_load(&world->place);
    if (!wrong && finished && block)
        wrong = "the block was not freed";
    if (!wrong && block && !heap_usable_size((void *)block))
        wrong = "the block is free and still published";
    if (heap_free_from(&world->place))
        wrong = wrong ? wrong : "the block cannot be freed";
    return wrong;
}

static const char *check_freed_to_zero(void *arg, bool finished)
{
    const char *wrong = check_freed(arg, finished);
    return wrong ? wrong : heap_balance(0);
}

static void shrink_block(void *arg)
{
    struct heap_world *world = arg;
    heap_shrink((void *)atomic_load(&world->place), MEDIUM);
}

static const char *check_shrunk(void *arg, bool finished)
{
    struct heap_world *world = arg;
    void *block = (void *)atomic_load(&world->place);
    if (finished && heap_usable_size(block) >= LARGE)
        return "the block did not shrink";
    return check_freed_to_zero(arg, false);
}

/* ---- mproc_realloc(): at any moment the old block is there, whole, or the new one; and at most one more ---- */

static void *build_to_grow(size_t size, size_t new_size)
{
    struct heap_world *world = build_for(size);
    void *block;
    heap_note();
    heap_alloc(size, &world->place, &block);
    memset(block, 0x5a, size);
    world->new_size = new_size;
    note_blocks();
    return world;
}

static void *build_small_to_small(void)
{
    return build_to_grow(SMALL, 10 * SMALL);
}

static void *build_small_to_medium(void)
{
    return build_to_grow(SMALL, MEDIUM);
}

static void *build_medium_to_medium(void)
{
    return build_to_grow(MEDIUM, 4 * MEDIUM);
}

static void *build_medium_to_less(void)
{
    return build_to_grow(10 * MEDIUM, MEDIUM);
}

static void *build_medium_to_small(void)
{
    return build_to_grow(MEDIUM, SMALL);
}

static void change_size(void *arg)
{
    struct heap_world *world = arg;
    void *block = mproc_realloc((void *)atomic_load(&world->place), world->new_size);
    atomic_store(&world->made, (uintptr_t)block);
}

static const char *check_resized(void *arg, bool finished)
{
    struct heap_world *world = arg;
    const char *wrong = survive(world);
    size_t kept = world->size < world->new_size ? world->size : world->new_size;
    void *old = (void *)atomic_exchange(&world->place, 0);
    void *made = (void *)atomic_exchange(&world->made, 0);
    if (finished && !made)
        return "the size cannot be changed";
    member_sweep_all();
    if (made && (heap_usable_size(made) < world->new_size || !is_filled(made, kept)))
        return "the contents are lost";
    size_t unclaimed = free_unclaimed(made, world->new_size, kept);
    bool old_is_there = made != old && heap_usable_size(old) > 0;
    if (unclaimed > 1 || (unclaimed && made) || (old_is_there && made))
        return "more than one block was left";
    if (!old_is_there && !made && (!unclaimed || !unclaimed_is_filled))
        return "neither the old block is there nor the new one";
    if (old_is_there && !is_filled(old, kept))
        return "the old block is damaged";
    if (made)
        memset(made, 0, kept); /* who gets it next must not find what it was to copy there */
    if ((made && mproc_free(made)) || (old_is_there && mproc_free(old)))
        return "a block cannot be freed";
    return wrong ? wrong : heap_balance(0);
}

static void destroy(void *arg)
{
    struct heap_world *world = arg;
    heap_free_from(&world->place);
    for (int i = 0; i < BLOCKS_OWN; i++)
        mproc_free(world->blocks[i]);
    heap_free_from(&world->beside);
    mproc_free(world);
}

const struct crash_case heap_cases[] = {
    {"heap_alloc", "small", build_small, take_beside, alloc_published, check_published, destroy, repair},
    {"heap_alloc", "an empty span", build_span, NULL, alloc_published, check_published, destroy, NULL},
    {"heap_alloc", "the last of a span", build_span, leave_one, alloc_published, check_published, destroy, NULL},
    {"heap_alloc", "a new span", build_span, leave_none, alloc_published, check_published, destroy, repair},
    {"heap_alloc", "medium", build_medium, NULL, alloc_published, check_published, destroy, repair},
    {"heap_alloc", "a part of a free run", build_larger_free_run, NULL, alloc_published, check_published, destroy,
     repair},
    {"heap_alloc", "large", build_large, NULL, alloc_published, check_published, destroy, repair},
    {"mproc_alloc", "small", build_small_returned, take_beside, alloc_returned, check_returned, destroy, repair},
    {"mproc_alloc", "large", build_large_returned, NULL, alloc_returned, check_returned, destroy, repair},
    {"heap_free", "small", build_small_block, NULL, free_published, check_freed_to_zero, destroy, repair},
    {"heap_free", "the last of its span", build_last_of_span, NULL, free_published, check_freed_to_zero, destroy, NULL},
    {"heap_free", "with its span", build_last_of_second_span, NULL, free_published, check_freed_to_zero, destroy,
     repair},
    {"heap_free", "large", build_large_block, NULL, free_published, check_freed_to_zero, destroy, repair},
    {"heap_free", "between free runs", build_between_free_runs, NULL, free_published, check_freed_to_zero, destroy,
     repair},
    {"heap_free", "of a full span", build_block_of_full_span, NULL, free_published, check_freed_to_zero, destroy,
     repair},
    {"mproc_free", "small", build_small_block, NULL, free_plainly, check_freed_plainly, destroy, NULL},
    {"mproc_free", "large", build_large_block, NULL, free_plainly, check_freed_plainly, destroy, NULL},
    {"mproc_realloc", "small to small", build_small_to_small, NULL, change_size, check_resized, destroy, NULL},
    {"mproc_realloc", "small to medium", build_small_to_medium, NULL, change_size, check_resized, destroy, NULL},
    {"mproc_realloc", "medium, grows", build_medium_to_medium, NULL, change_size, check_resized, destroy, NULL},
    {"mproc_realloc", "medium, shrinks in place", build_medium_to_less, NULL, change_size, check_resized, destroy,
     NULL},
    {"mproc_realloc", "medium to small", build_medium_to_small, NULL, change_size, check_resized, destroy, NULL},
    {"heap_shrink", "large", build_large_block, NULL, shrink_block, check_shrunk, destroy, repair},
    {0},
};
