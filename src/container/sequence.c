/* The table of a list; struct sequence has its invariant. All is done under the lock of the container. */
#include "container/sequence.h"

#include "util/atomic.h"
#include "value/value.h"
#include <errno.h>
#include <string.h>

#define CAPACITY_LEAST 8
#define CAPACITY_MOST  ((uint64_t)1 << 31)

static uint64_t range_of(const struct sequence *sequence)
{
    return load_relaxed(&sequence->range);
}

static uint64_t sequence_begin_of(const struct sequence *sequence)
{
    return range_of(sequence) >> 32;
}

static uint64_t sequence_count_of(const struct sequence *sequence)
{
    return range_of(sequence) & UINT32_MAX;
}

static void set_range(struct sequence *sequence, uint64_t begin, uint64_t count)
{
    uint64_t range = (begin & (sequence->capacity - 1)) << 32 | count;
    store_release(&sequence->range, range);
}

static heap_place *place_at(struct sequence *sequence, uint64_t index)
{
    return &sequence->items[(sequence_begin_of(sequence) + index) & (sequence->capacity - 1)];
}

static uintptr_t sequence_item_at(struct sequence *sequence, uint64_t index)
{
    return load_relaxed(place_at(sequence, index));
}

uint64_t sequence_count(const struct container *container)
{
    const struct sequence *sequence = sequence_of(container);
    return sequence ? sequence_count_of(sequence) : 0;
}

heap_place *sequence_place(const struct container *container, uint64_t index)
{
    return place_at(sequence_of(container), index);
}

struct element *sequence_item(const struct container *container, uint64_t index)
{
    return (struct element *)sequence_item_at(sequence_of(container), index);
}

int sequence_decode(const struct container *container, uint64_t index, mproc_value *value)
{
    const struct element *element = sequence_item(container, index);
    return value ? value_decode(value, element->bytes, element->size) : 0;
}

bool sequence_holds(const struct container *container, uintptr_t item)
{
    struct sequence *sequence = sequence_of(container);
    for (uint64_t i = 0; i < sequence_count_of(sequence); i++) {
        if (sequence_item_at(sequence, i) == item)
            return true;
    }
    return false;
}

void sequence_empty(uintptr_t table)
{
    struct sequence *sequence = (struct sequence *)table;
    uint64_t begin = sequence_begin_of(sequence);
    uint64_t behind = begin + sequence_count_of(sequence); /* around the end there are more, at the begin */
    uint64_t end = behind < sequence->capacity ? behind : sequence->capacity;
    container_free_items(&sequence->items[begin], end - begin);
    container_free_items(sequence->items, behind - end);
}

/* ---- items and tables that are not in force yet ---- */

/* Make a new item, which the next commit will hold. NULL: no memory. */
static struct element *make_element(struct container *container, const mproc_value *value)
{
    void *block;
    size_t size = value_encoded_size(value);
    if (container_take(container, sizeof(struct element) + size, &block))
        return NULL;
    struct element *element = block;
    element->size = size;
    value_encode_into(value, element->bytes);
    container_add_fresh(container, element);
    return element;
}

/* Make count new items at the places from index on, which may be behind the last of the sequence. */
static int make_elements(struct container *container, struct sequence *sequence, uint64_t index,
                         const mproc_value *items, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct element *element = make_element(container, &items[i]);
        if (!element)
            return -ENOMEM;
        store_relaxed(place_at(sequence, index + i), (uintptr_t)element);
    }
    return 0;
}

/* Forget what was begun. */
static int sequence_give_up(struct container *container)
{
    container_recover(&container_list, container);
    return -ENOMEM;
}

/* Take a table for that many items, with no order among its places yet. */
static struct sequence *make_table(struct container *container, uint64_t count, uint64_t room)
{
    uint64_t capacity = CAPACITY_LEAST;
    while (capacity < room && capacity < CAPACITY_MOST)
        capacity *= 2;
    void *block;
    if (capacity < room ||
        heap_alloc(sizeof(struct sequence) + capacity * sizeof(heap_place), &container->arriving, &block))
        return NULL;
    struct sequence *sequence = block;
    sequence->capacity = capacity;
    set_range(sequence, 0, count);
    return sequence;
}

/* Copy places of the sequence in force to a table. */
static void sequence_take_over(const struct container *container, uint64_t from, uint64_t count, struct sequence *table,
                               uint64_t to)
{
    struct sequence *sequence = sequence_of(container);
    for (uint64_t i = 0; i < count; i++)
        store_relaxed(&table->items[to + i], sequence_item_at(sequence, from + i));
}

static void commit(struct container *container, struct sequence *table)
{
    container_swap_table(&container_list, container, (uintptr_t)table, false);
}

/* The same items in a table with another number of places. */
static int sequence_resize(struct container *container, uint64_t room)
{
    uint64_t count = sequence_count(container);
    struct sequence *table = make_table(container, count, room);
    if (!table)
        return -ENOMEM;
    sequence_take_over(container, 0, count, table, 0);
    commit(container, table);
    return 0;
}

static int sequence_reserve(struct container *container, uint64_t more)
{
    uint64_t count = sequence_count(container);
    if (more > CAPACITY_MOST || count + more > CAPACITY_MOST)
        return -ENOMEM;
    const struct sequence *sequence = sequence_of(container);
    return sequence && count + more <= sequence->capacity ? 0 : sequence_resize(container, count + more);
}

/* Memory goes back when an eighth of the places is in use; where there is none for a smaller table, later. */
static void sequence_shrink(struct container *container)
{
    const struct sequence *sequence = sequence_of(container);
    if (sequence->capacity > CAPACITY_LEAST && sequence_count_of(sequence) < sequence->capacity / 8)
        (void)sequence_resize(container, sequence_count_of(sequence) * 2);
}

/* ---- at the ends ---- */

int sequence_extend(struct container *container, const mproc_value *items, uint64_t count)
{
    int result = count ? sequence_reserve(container, count) : 0;
    if (result || count == 0)
        return result;
    struct sequence *sequence = sequence_of(container);
    uint64_t before = sequence_count_of(sequence);
    if (make_elements(container, sequence, before, items, count))
        return sequence_give_up(container);
    set_range(sequence, sequence_begin_of(sequence), before + count); /* commit */
    container_settle(container);
    return 0;
}

int sequence_prepend(struct container *container, const mproc_value *item)
{
    int result = sequence_reserve(container, 1);
    if (result)
        return result;
    struct sequence *sequence = sequence_of(container);
    if (make_elements(container, sequence, sequence->capacity - 1, item, 1))
        return sequence_give_up(container);
    set_range(sequence, sequence_begin_of(sequence) - 1, sequence_count_of(sequence) + 1); /* commit */
    container_settle(container);
    return 0;
}

static void remove_end(struct container *container, uint64_t index)
{
    struct sequence *sequence = sequence_of(container);
    container_drop(container, sequence_item_at(sequence, index));
    set_range(sequence, sequence_begin_of(sequence) + (index == 0), sequence_count_of(sequence) - 1); /* commit */
    container_settle(container);
    sequence_shrink(container);
}

/* ---- anywhere ---- */

int sequence_replace(struct container *container, uint64_t index, const mproc_value *item)
{
    struct element *element = make_element(container, item);
    if (!element)
        return -ENOMEM;
    heap_place *place = sequence_place(container, index);
    container_drop(container, load_relaxed(place));
    store_release(place, (uintptr_t)element); /* commit */
    container_settle(container);
    return 0;
}

int sequence_remove(struct container *container, uint64_t index)
{
    uint64_t count = sequence_count(container);
    if (index != 0 && index != count - 1)
        return sequence_splice(container, &(struct slice){index, 1, 1}, NULL, 0);
    remove_end(container, index);
    return 0;
}

/* Other items for those of a slice with a step: the table has as many. */
static int sequence_exchange(struct container *container, const struct slice *slice, const mproc_value *items)
{
    uint64_t count = sequence_count(container);
    struct sequence *table = make_table(container, count, count);
    if (!table)
        return -ENOMEM;
    sequence_take_over(container, 0, count, table, 0);
    for (uint64_t i = 0; i < slice->count; i++) {
        uint64_t index = slice->begin + (uint64_t)slice->step * i;
        if (make_elements(container, table, index, &items[i], 1))
            return sequence_give_up(container);
    }
    for (uint64_t i = 0; i < slice->count; i++)
        container_drop(container, sequence_item_at(sequence_of(container), slice->begin + (uint64_t)slice->step * i));
    commit(container, table);
    return 0;
}

int sequence_splice(struct container *container, const struct slice *slice, const mproc_value *items, uint64_t count)
{
    if (slice->step != 1)
        return slice->count ? sequence_exchange(container, slice, items) : 0;
    uint64_t before = sequence_count(container);
    uint64_t rest = slice->begin + slice->count;
    uint64_t after = before - slice->count + count;
    if (slice->count == 0 && slice->begin == before)
        return sequence_extend(container, items, count);
    if (slice->count == 0 && count == 0)
        return 0;
    if (count > CAPACITY_MOST || after > CAPACITY_MOST)
        return -ENOMEM;
    struct sequence *table = make_table(container, after, after);
    if (!table)
        return -ENOMEM;
    sequence_take_over(container, 0, slice->begin, table, 0);
    if (make_elements(container, table, slice->begin, items, count))
        return sequence_give_up(container);
    sequence_take_over(container, rest, before - rest, table, slice->begin + count);
    for (uint64_t i = 0; i < slice->count; i++)
        container_drop(container, sequence_item_at(sequence_of(container), slice->begin + i));
    commit(container, table);
    return 0;
}

/* What is cut out by a step below 0 is cut out by one above too. */
static struct slice upwards(const struct slice *slice)
{
    if (slice->step > 0 || slice->count == 0)
        return *slice;
    return (struct slice){slice->begin + (uint64_t)slice->step * (slice->count - 1), -slice->step, slice->count};
}

int sequence_cut(struct container *container, const struct slice *given)
{
    struct slice slice = upwards(given);
    uint64_t count = sequence_count(container);
    if (slice.count == 0)
        return 0;
    struct sequence *table = make_table(container, count - slice.count, count - slice.count);
    if (!table)
        return -ENOMEM;
    uint64_t from = 0;
    uint64_t to = 0;
    for (uint64_t i = 0; i < slice.count; i++) {
        uint64_t index = slice.begin + (uint64_t)slice.step * i;
        sequence_take_over(container, from, index - from, table, to);
        container_drop(container, sequence_item_at(sequence_of(container), index));
        to += index - from;
        from = index + 1;
    }
    sequence_take_over(container, from, count - from, table, to);
    commit(container, table);
    return 0;
}

int sequence_reorder(struct container *container, const uint64_t *order)
{
    uint64_t count = sequence_count(container);
    if (count < 2)
        return 0;
    struct sequence *table = make_table(container, count, count);
    if (!table)
        return -ENOMEM;
    for (uint64_t i = 0; i < count; i++)
        sequence_take_over(container, order[i], 1, table, i);
    commit(container, table);
    return 0;
}
