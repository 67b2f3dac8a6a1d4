/* The hash table of dict, set and namespace; struct table has its invariant. All but the making of keys is done under
 * the lock of the container. It knows keys as canonical bytes and values as stored forms. */
#include "container/table.h"

#include "container/collect.h"
#include "os/allocate.h"
#include "util/atomic.h"
#include "util/failure.h"
#include "value/value.h"
#include <errno.h>
#include <string.h>

#define SLOTS_LEAST 16
#define KEY_MOST    ((size_t)UINT32_MAX)

/* ---- keys ---- */

int table_key_make(struct table_key *key, const mproc_value *value)
{
    key->memory = NULL;
    int result = value_key_size(value, &key->size);
    if (result)
        return result;
    if (key->size > KEY_MOST)
        return -ENOMEM;
    unsigned char *bytes = key->space;
    if (key->size > sizeof key->space) {
        bytes = key->memory = os_malloc(key->size);
        if (!bytes)
            return -ENOMEM;
    }
    value_key_into(value, bytes);
    key->bytes = bytes;
    key->hash = value_hash_bytes(bytes, key->size);
    return 0;
}

void table_key_free(struct table_key *key)
{
    if (__builtin_expect(key->memory != NULL, 0))
        free(key->memory);
}

/* ---- the index ---- */

static uint64_t *table_index_of(const struct table *table)
{
    return (uint64_t *)(uintptr_t)&table->entries[table->capacity];
}

static uint64_t slot_of(uint64_t hash, uint64_t position)
{
    return hash << 32 | (position + 1);
}

static uint64_t position_in(uint64_t slot)
{
    return (slot & UINT32_MAX) - 1;
}

static void index_insert(struct table *table, uint64_t slot)
{
    uint64_t *index = table_index_of(table);
    uint64_t at = slot >> 32 & (table->slots - 1);
    while (index[at])
        at = (at + 1) & (table->slots - 1);
    index[at] = slot;
}

/* Take a slot out, and move back those behind it that would be cut off from where their hash belongs. */
static void index_remove(struct table *table, uint64_t slot)
{
    uint64_t *index = table_index_of(table);
    uint64_t mask = table->slots - 1;
    uint64_t gap = slot >> 32 & mask;
    while (index[gap] != slot)
        gap = (gap + 1) & mask;
    for (uint64_t at = (gap + 1) & mask; index[at]; at = (at + 1) & mask) {
        uint64_t home = index[at] >> 32 & mask;
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            index[gap] = index[at];
            gap = at;
        }
    }
    index[gap] = 0;
}

struct entry *table_find(const struct container *container, const struct table_key *key, uint64_t *position)
{
    const struct table *table = table_of(container);
    if (!table)
        return NULL;
    const uint64_t *index = table_index_of(table);
    uint64_t mask = table->slots - 1;
    for (uint64_t at = key->hash & UINT32_MAX & mask; index[at]; at = (at + 1) & mask) {
        if (index[at] >> 32 != (key->hash & UINT32_MAX))
            continue;
        struct entry *entry = table_entry(table, position_in(index[at]));
        if (entry->hash == key->hash && entry->key_size == key->size &&
            memcmp(entry->bytes, key->bytes, key->size) == 0) {
            *position = position_in(index[at]);
            return entry;
        }
    }
    return NULL;
}

void table_renew(struct container *container)
{
    struct table *table = table_of(container);
    memset(table_index_of(table), 0, table->slots * sizeof(uint64_t));
    table->used = table->live = 0;
    for (uint64_t i = 0; i < table->capacity; i++) {
        const struct entry *entry = table_entry(table, i);
        if (!entry)
            continue;
        table->used = i + 1;
        table->live++;
        index_insert(table, slot_of(entry->hash, i));
    }
}

bool table_holds(const struct container *container, uintptr_t item)
{
    const struct table *table = table_of(container);
    for (uint64_t i = 0; i < table->capacity; i++) {
        if ((uintptr_t)table_entry(table, i) == item)
            return true;
    }
    return false;
}

void table_empty(uintptr_t place)
{
    struct table *table = (struct table *)place;
    container_free_items(table->entries, table->capacity);
}

/* ---- size ---- */

static uint64_t capacity_for(uint64_t slots)
{
    return slots - slots / 3;
}

/* Entries keep their positions where there is no gap, and then their hashes need not be read. */
static void table_fill(struct table *table, const struct table *old)
{
    if (old->used == old->live) {
        memcpy(table->entries, old->entries, old->used * sizeof *table->entries);
        table->used = table->live = old->live;
        for (uint64_t i = 0; i < old->slots; i++) {
            if (table_index_of(old)[i])
                index_insert(table, table_index_of(old)[i]);
        }
        return;
    }
    for (uint64_t i = 0; i < old->used; i++) {
        struct entry *entry = table_entry(old, i);
        if (!entry)
            continue;
        store_relaxed(&table->entries[table->used], (uintptr_t)entry);
        index_insert(table, slot_of(entry->hash, table->used++));
        table->live++;
    }
}

/* Another table, without gaps and with room for half as many again. */
static int table_resize(const struct container_type *type, struct container *container)
{
    const struct table *old = table_of(container);
    uint64_t wanted = old ? old->live + old->live / 2 + 4 : 1;
    uint64_t slots = SLOTS_LEAST;
    while (capacity_for(slots) < wanted)
        slots *= 2;
    if (slots > UINT32_MAX)
        return -ENOMEM;
    uint64_t capacity = capacity_for(slots);
    void *block;
    int result =
        container_take_table(container, sizeof *old + capacity * sizeof(heap_place) + slots * sizeof slots, &block);
    if (result)
        return result;
    struct table *table = block;
    table->capacity = capacity;
    table->slots = slots;
    if (old)
        table_fill(table, old);
    container_swap_table(type, container, (uintptr_t)table, false);
    return 0;
}

/* Memory goes back when an eighth of the places is in use; where there is none for a smaller table, later. */
static void table_shrink(const struct container_type *type, struct container *container)
{
    const struct table *table = table_of(container);
    if (table->slots > SLOTS_LEAST && table->live < table->capacity / 8)
        (void)table_resize(type, container);
}

/* ---- entries ---- */

/* Whether the stored form of a key is the canonical one, as it is for most; false when that cannot be found out. */
static bool is_canonical(const struct table_key *key, const mproc_value *form, size_t form_size)
{
    unsigned char space[sizeof key->space];
    if (form_size != key->size)
        return false;
    unsigned char *bytes = form_size > sizeof space ? os_malloc(form_size) : space;
    if (!bytes)
        return false;
    value_encode_into(form, bytes);
    bool same = memcmp(bytes, key->bytes, form_size) == 0;
    if (bytes != space)
        free(bytes);
    return same;
}

/* The size of the form that is stored beside the canonical key: an entry that replaces another has the other's. */
static size_t form_size_of(const struct table_key *key, const mproc_value *form, const struct entry *old)
{
    if (old)
        return old->form_size;
    size_t size = value_encoded_size(form);
    return is_canonical(key, form, size) ? 0 : size;
}

/* Take an entry into moving and fill it. */
static int make_entry(struct container *container, const struct table_key *key, const mproc_value *form,
                      const mproc_value *value, const struct entry *old, struct entry **made)
{
    size_t form_size = form_size_of(key, form, old);
    if (form_size > KEY_MOST)
        return -ENOMEM;
    size_t value_size = value ? value_encoded_size(value) : 0;
    void *block;
    int result = container_take(container, sizeof **made + key->size + form_size + value_size, &block);
    if (result)
        return result;
    struct entry *entry = block;
    entry->hash = key->hash;
    entry->value_size = value_size;
    entry->key_size = (uint32_t)key->size;
    entry->form_size = (uint32_t)form_size;
    memcpy(entry->bytes, key->bytes, key->size);
    unsigned char *at = entry->bytes + key->size;
    if (old)
        memcpy(at, old->bytes + old->key_size, form_size);
    else if (form_size)
        value_encode_into(form, at);
    if (value)
        value_encode_into(value, at + form_size);
    *made = entry;
    return 0;
}

static int table_insert(const struct container_type *type, struct container *container, const struct table_key *key,
                        const mproc_value *form, const mproc_value *value)
{
    struct table *table = table_of(container);
    struct entry *entry;
    if (!table || table->used == table->capacity) {
        int result = table_resize(type, container);
        if (result)
            return result;
        table = table_of(container);
    }
    int result = make_entry(container, key, form, value, NULL, &entry);
    if (result)
        return result;
    uint64_t position = table->used;
    store_release(&table->entries[position], (uintptr_t)entry); /* commit */
    table->used++;
    table->live++;
    index_insert(table, slot_of(key->hash, position));
    container_settle(container);
    return 0;
}

int table_put(const struct container_type *type, struct container *container, const struct table_key *key,
              const mproc_value *form, const mproc_value *value, struct entry *entry, uint64_t position)
{
    struct entry *made;
    if (!entry)
        return table_insert(type, container, key, form, value);
    if (!value)
        return 0;
    int result = make_entry(container, key, form, value, entry, &made);
    if (result)
        return result;
    container_drop(container, (uintptr_t)entry);
    store_release(&table_of(container)->entries[position], (uintptr_t)made); /* commit */
    container_settle(container);
    return 0;
}

void table_remove(const struct container_type *type, struct container *container, uint64_t position)
{
    struct table *table = table_of(container);
    struct entry *entry = table_entry(table, position);
    uint64_t slot = slot_of(entry->hash, position);
    container_drop(container, (uintptr_t)entry);
    store_release(&table->entries[position], 0); /* commit */
    index_remove(table, slot);
    table->live--;
    while (table->used > 0 && !table_entry(table, table->used - 1))
        table->used--;
    container_settle(container);
    table_shrink(type, container);
}

/* ---- collecting ---- */

static size_t part_size(const struct entry *entry, enum table_part part)
{
    size_t form_size;
    entry_form(entry, &form_size);
    switch (part) {
    case TABLE_KEYS:
        return form_size;
    case TABLE_VALUES:
        return entry->value_size;
    default:
        return form_size + entry->value_size + (part == TABLE_ITEMS);
    }
}

static void add_entry(struct collection *collection, const struct entry *entry, enum table_part part)
{
    size_t form_size;
    const unsigned char *form = entry_form(entry, &form_size);
    if (part == TABLE_ITEMS)
        collect_begin_list(collection, 2);
    if (part != TABLE_VALUES)
        collect_add(collection, form, form_size);
    if (part != TABLE_KEYS)
        collect_add(collection, entry_value(entry), entry->value_size);
}

int table_decode_key(const struct entry *entry, mproc_value *key)
{
    size_t size;
    const unsigned char *form = entry_form(entry, &size);
    return value_decode(key, form, size);
}

int table_decode_pair(const struct entry *entry, mproc_value *pair)
{
    struct collection collection;
    int result = collect_take(&collection, part_size(entry, TABLE_ITEMS));
    if (result)
        return result;
    add_entry(&collection, entry, TABLE_ITEMS);
    return collect_finish(&collection, pair);
}

static int table_copy_out(const struct container *container, enum table_part part, struct collection *collection)
{
    const struct table *table = table_of(container);
    uint64_t used = table ? table->used : 0;
    size_t size = 0;
    for (uint64_t i = 0; i < used; i++) {
        const struct entry *entry = table_entry(table, i);
        if (entry)
            size += part_size(entry, part);
    }
    int result = collect_take(collection, size);
    if (result)
        return result;
    if (part == TABLE_MAP)
        collect_begin_map(collection, table_live(container));
    else
        collect_begin_list(collection, table_live(container));
    for (uint64_t i = 0; i < used; i++) {
        const struct entry *entry = table_entry(table, i);
        if (entry)
            add_entry(collection, entry, part);
    }
    return 0;
}

int table_collect(const struct container_type *type, struct container *container, enum table_part part,
                  mproc_value *value, int64_t deadline)
{
    if (!value)
        return failure(-EINVAL, "nothing was given to put the items into");
    struct collection collection;
    int result = container_lock(type, container, deadline);
    if (result)
        return result;
    result = table_copy_out(container, part, &collection);
    container_unlock(container);
    return result ? result : collect_finish(&collection, value);
}
