/* The crash cases of the heap. */
#include "arena/heap.h"
#include "arena/member.h"
#include "crash.h"
#include <mproc/memory.h>
#include <stdatomic.h>
#include <string.h>

#define SMALL       ((size_t)100)
#define MEDIUM      ((size_t)20000)
#define LARGE       ((size_t)3 << 20)
#define BLOCKS_MOST 4096
#define NEW_SIZE    ((size_t)7000) /* a size that nothing else uses, so that each world begins without a span for it */

struct heap_world {
    heap_place place;  /* where the victim's block is published */
    heap_place second; /* where the repairer's is */
    size_t size;
    void *blocks[3];
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

static void *build_new_span(void)
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

/* Who mends takes over the locks that a dead process held: by using what it used. */
static void repair(void *arg)
{
    struct heap_world *world = arg;
    void *block;
    heap_alloc(world->size, &world->second, &block);
    heap_free_from(&world->second);
    member_sweep_all();
}

static const char *check_published(void *arg, bool finished)
{
    struct heap_world *world = arg;
    const char *wrong = use_heap(world->size);
    heap_free_from(&world->second);
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

/* Free what has come since note_blocks(), but for one block. Returns how many that were, of so many bytes at least. */
static size_t free_unclaimed(const void *claimed, size_t size)
{
    static void *now[BLOCKS_MOST];
    size_t freed = 0;
    member_sweep_all();
    size_t count = heap_inventory(now, BLOCKS_MOST);
    for (size_t i = 0; i < count; i++) {
        if (now[i] != claimed && !was_before(now[i]) && heap_usable_size(now[i]) >= size)
            freed += heap_free(now[i]) == 0;
    }
    return freed;
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
    const char *wrong = use_heap(world->size);
    heap_free_from(&world->second);
    size_t unclaimed = free_unclaimed((void *)atomic_load(&world->place), world->size);
    if (unclaimed > 1 || (unclaimed && atomic_load(&world->place)))
        return "more than one block was left";
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
    world->blocks[0] = mproc_alloc(SMALL);
    heap_note();
    heap_alloc(SMALL, &world->place, &block);
    return world;
}

static void *build_last_of_span(void)
{
    struct heap_world *world = build_for(NEW_SIZE);
    void *block;
    heap_note();
    heap_alloc(NEW_SIZE, &world->place, &block);
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

static const char *check_freed(void *arg, bool finished)
{
    struct heap_world *world = arg;
    const char *wrong = use_heap(world->size);
    heap_free_from(&world->second);
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

static void destroy(void *arg)
{
    struct heap_world *world = arg;
    heap_free_from(&world->place);
    for (int i = 0; i < 3; i++)
        mproc_free(world->blocks[i]);
    mproc_free(world);
}

const struct crash_case heap_cases[] = {
    {"heap_alloc", "small", build_small, NULL, alloc_published, check_published, destroy, repair},
    {"heap_alloc", "small, new span", build_new_span, NULL, alloc_published, check_published, destroy, repair},
    {"heap_alloc", "medium", build_medium, NULL, alloc_published, check_published, destroy, repair},
    {"heap_alloc", "large", build_large, NULL, alloc_published, check_published, destroy, repair},
    {"mproc_alloc", "small", build_small_returned, NULL, alloc_returned, check_returned, destroy, repair},
    {"mproc_alloc", "large", build_large_returned, NULL, alloc_returned, check_returned, destroy, repair},
    {"heap_free", "small", build_small_block, NULL, free_published, check_freed_to_zero, destroy, repair},
    {"heap_free", "last of its span", build_last_of_span, NULL, free_published, check_freed_to_zero, destroy, repair},
    {"heap_free", "large", build_large_block, NULL, free_published, check_freed_to_zero, destroy, repair},
    {"heap_free", "between free runs", build_between_free_runs, NULL, free_published, check_freed_to_zero, destroy,
     repair},
    {"heap_shrink", "large", build_large_block, NULL, shrink_block, check_shrunk, destroy, repair},
    {0},
};
