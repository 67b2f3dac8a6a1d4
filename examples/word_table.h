/* The hash table of the example wordcount: words and how often they occur, in private memory. Open addressing; the
 * words themselves lie one after the other without a pointer, so that all of them can be copied elsewhere as they are.
 */
#ifndef WORD_TABLE_H
#define WORD_TABLE_H

#include "common.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A word and how often it occurs. The text is padded with zeros to a multiple of 8 bytes. */
struct word {
    uint64_t count;
    uint32_t hash;
    uint32_t length; /* bytes of text, without the padding */
    uint64_t text[];
};

/* The words lie in units of 8 bytes from index 1 on; words[0] is the index of their end. */
struct table {
    uint32_t *slots;   /* index of a word in words; 0: empty */
    size_t slot_count; /* a power of two, at least twice what is used */
    size_t used;
    uint64_t *words;
    size_t capacity; /* of words */
};

static inline size_t text_units(const struct word *word)
{
    return (word->length + 7) / 8;
}

/* The word at an index, which moves on to the next one; NULL at the end, or when there are no words. */
static inline const struct word *next_word(const uint64_t *words, size_t *index)
{
    if (!words || *index >= words[0])
        return NULL;
    const struct word *word = (const struct word *)&words[*index];
    *index += sizeof *word / 8 + text_units(word);
    return word;
}

/* The slot that holds the word, or the empty one where it belongs. */
static inline uint32_t *find_word(const struct table *table, const struct word *word)
{
    for (size_t i = word->hash;; i++) {
        uint32_t *slot = &table->slots[i & (table->slot_count - 1)];
        const struct word *other = (const struct word *)&table->words[*slot];
        if (*slot == 0 || (other->hash == word->hash && other->length == word->length &&
                           memcmp(other->text, word->text, word->length) == 0))
            return slot;
    }
}

/* Empty a table; one that is all zero becomes ready for use. */
static inline void clear_table(struct table *table)
{
    if (!table->words) {
        table->capacity = table->slot_count = 1024;
        table->words = must(calloc(table->capacity, sizeof *table->words));
        table->slots = must(calloc(table->slot_count, sizeof *table->slots));
    }
    memset(table->slots, 0, table->slot_count * sizeof *table->slots);
    table->used = 0;
    table->words[0] = 1;
}

static inline void double_slots(struct table *table)
{
    const struct word *word;
    table->slot_count *= 2;
    free(table->slots);
    table->slots = must(calloc(table->slot_count, sizeof *table->slots));
    for (size_t next = 1, index = 1; (word = next_word(table->words, &next)); index = next)
        *find_word(table, word) = (uint32_t)index;
}

static inline void add_word(struct table *table, const struct word *word)
{
    uint32_t *slot = find_word(table, word);
    if (*slot) {
        ((struct word *)&table->words[*slot])->count += word->count;
        return;
    }
    size_t end = table->words[0], units = sizeof *word / 8 + text_units(word);
    if (table->capacity - end < units) {
        table->capacity *= 2;
        table->words = must(realloc(table->words, table->capacity * sizeof *table->words));
    }
    memcpy(&table->words[end], word, units * 8);
    table->words[0] = end + units;
    *slot = (uint32_t)end;
    if (2 * ++table->used > table->slot_count)
        double_slots(table);
}

/* The order in which words are shown: the most frequent first, then by text. */
static inline bool comes_before(const struct word *a, const struct word *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
    return order ? order < 0 : a->length < b->length;
}

#endif
