/* The hash table of dict, set and namespace: entries in the order in which they came, and an index. All but keys and
 * table_collect() needs the lock of the container. */
#ifndef MPROC_CONTAINER_TABLE_H
#define MPROC_CONTAINER_TABLE_H

#include "container/container.h"
#include "util/atomic.h"

/* A key and its value. Never changed once it is held: another value is another entry. */
struct entry {
    struct item item;
    uint64_t hash;
    uint64_t value_size;
    uint32_t key_size;
    uint32_t form_size;    /* of the key's stored form; 0: it is the canonical key */
    unsigned char bytes[]; /* canonical key, stored form of the key, stored form of the value (of a set: nothing) */
};

/* Invariant: an entry is held iff a place of entries has its address; places from used on are 0. Commit: the store to
 * that place. The rest is derived and made anew after a death: used is behind the last place that is not 0, live counts
 * these, and the index, which lies behind the places, has a slot for each: hash in the upper half, position + 1 in the
 * lower, 0 where it is free; open addressing with the next slot, and no gap between a slot and where its hash belongs.
 */
struct table {
    uint64_t capacity; /* of places; constant */
    uint64_t slots;    /* of the index, a power of 2; constant */
    uint64_t used;
    uint64_t live;
    heap_place entries[];
};

/* A key to look for. */
struct table_key {
    const unsigned char *bytes; /* canonical */
    size_t size;
    uint64_t hash;
    unsigned char *memory; /* of a long one, from malloc() */
    unsigned char space[120];
};

/* Make the key of a value. -EINVAL for what cannot be one; -ENOMEM. It is in order again after table_key_free(). */
int table_key_make(struct table_key *key, const mproc_value *value);
void table_key_free(struct table_key *key);

static inline struct table *table_of(const struct container *container)
{
    return (struct table *)container_table(container);
}

static inline struct entry *table_entry(const struct table *table, uint64_t position)
{
    return (struct entry *)load_relaxed(&table->entries[position]);
}

static inline uint64_t table_live(const struct container *container)
{
    const struct table *table = table_of(container);
    return table ? table->live : 0;
}

static inline const unsigned char *entry_form(const struct entry *entry, size_t *size)
{
    *size = entry->form_size ? entry->form_size : entry->key_size;
    return entry->form_size ? entry->bytes + entry->key_size : entry->bytes;
}

static inline const unsigned char *entry_value(const struct entry *entry)
{
    return entry->bytes + entry->key_size + entry->form_size;
}

/* The entry of a key and its position; NULL when there is none. */
struct entry *table_find(const struct container *container, const struct table_key *key, uint64_t *position);

/* Set a key, which is at that position when entry is not NULL, to a value (NULL: of a set). form is the key as it was
 * given; an entry that is there keeps its own, and is left alone in a set. -ENOMEM: nothing has changed. */
int table_put(const struct container_type *type, struct container *container, const struct table_key *key,
              const mproc_value *form, const mproc_value *value, struct entry *entry, uint64_t position);

/* Take the entry at a position out. */
void table_remove(const struct container_type *type, struct container *container, uint64_t position);

/* The last entry of a table that has some; the key of one as it was given; and one as a list of key and value. */
static inline const struct entry *table_last(const struct container *container)
{
    return table_entry(table_of(container), table_of(container)->used - 1);
}

int table_decode_key(const struct entry *entry, mproc_value *key);
int table_decode_pair(const struct entry *entry, mproc_value *pair);

/* The functions of container_type. */
bool table_holds(const struct container *container, uintptr_t item);
void table_empty(uintptr_t place);
void table_renew(struct container *container);

/* What of each entry table_collect() takes. */
enum table_part {
    TABLE_KEYS,
    TABLE_VALUES,
    TABLE_ITEMS, /* a list of two for each */
    TABLE_MAP
};

/* Copy all entries at one moment, as a list or a map. Takes the lock. */
int table_collect(const struct container_type *type, struct container *container, enum table_part part,
                  mproc_value *value, int64_t deadline);

#endif
