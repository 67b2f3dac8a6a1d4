/* Lists in the layout of CPython's ShareableList (multiprocessing/shared_memory.py):
 *
 *     count      8 bytes; all numbers here are in the machine's byte order
 *     offsets    count + 1 times 8 bytes: where each place begins among the data, and where the last one ends
 *     data       the places of the items
 *     formats    count times 8 bytes: how Python's struct module packs the item
 *     codes      count bytes: what is made of the item, enum code
 *
 * count and offsets never change; they are checked once, and kept. Anybody may change formats, codes and data at any
 * time: each is read once, and checked. */
#include "os/allocate.h"

#include "util/failure.h"
#include <errno.h>
#include <mproc/shareable_list.h>
#include <stdio.h>
#include <string.h>

#define WORD sizeof(uint64_t)

enum code {
    CODE_PLAIN = 0,
    CODE_STRING = 1,
    CODE_BYTES = 2,
    CODE_NONE = 3
};

#define FORMAT_INT    "q"
#define FORMAT_DOUBLE "d"
#define FORMAT_BOOL   "xxxxxxx?"
#define FORMAT_NONE   "xxxxxx?x"

struct mproc_shareable_list {
    mproc_shared_memory *memory;
    size_t count;
    unsigned char *data;
    unsigned char *formats;
    unsigned char *codes;
    uint64_t offsets[]; /* count + 1 */
};

/* How an item is stored. */
struct packed {
    char format[WORD + 1]; /* filled up with NULs */
    enum code code;
    const void *bytes; /* of a string or bytes; else word */
    size_t size;
    uint64_t word;
};

static bool shareable_list_is_text(const mproc_value *item)
{
    return item->kind == MPROC_STRING || item->kind == MPROC_BYTES;
}

/* ---- layout ---- */

/* The size of the place that an item gets at first. */
static size_t place_for(const mproc_value *item)
{
    return shareable_list_is_text(item) ? WORD * (item->size / WORD + 1) : WORD;
}

/* Say where the parts are. False when they would not all be in size bytes. */
static bool shareable_list_lay_out(mproc_shareable_list *list, unsigned char *base, size_t size)
{
    size_t head = (list->count + 2) * WORD;
    uint64_t data = list->offsets[list->count];
    if (head > size || data > size - head || list->count * (WORD + 1) > size - head - data)
        return false;
    list->data = base + head;
    list->formats = list->data + data;
    list->codes = list->formats + list->count * WORD;
    return true;
}

static mproc_shareable_list *new_list(size_t count)
{
    if (count > PTRDIFF_MAX / WORD / 2 - 4)
        return NULL;
    mproc_shareable_list *list = os_malloc(sizeof *list + (count + 1) * WORD);
    if (list)
        *list = (mproc_shareable_list){.count = count};
    return list;
}

/* ---- items ---- */

static bool set_format(struct packed *packed, const char *format)
{
    memset(packed->format, 0, sizeof packed->format);
    size_t length = strlen(format);
    if (length > WORD)
        return false;
    memcpy(packed->format, format, length);
    return true;
}

/* Pack an item for a place of that size. -EINVAL: it is no such item; MPROC_TOO_SMALL. */
static int shareable_list_pack(struct packed *packed, const mproc_value *item, size_t place)
{
    char text[32];
    *packed = (struct packed){.code = CODE_PLAIN};
    switch (item->kind) {
    case MPROC_NIL:
        packed->code = CODE_NONE;
        set_format(packed, FORMAT_NONE);
        return 0;
    case MPROC_BOOL:
        ((unsigned char *)&packed->word)[WORD - 1] = item->boolean;
        set_format(packed, FORMAT_BOOL);
        return 0;
    case MPROC_INT:
        packed->word = (uint64_t)item->integer;
        set_format(packed, FORMAT_INT);
        return 0;
    case MPROC_DOUBLE:
        memcpy(&packed->word, &item->real, sizeof item->real);
        set_format(packed, FORMAT_DOUBLE);
        return 0;
    case MPROC_STRING:
    case MPROC_BYTES:
        packed->code = item->kind == MPROC_STRING ? CODE_STRING : CODE_BYTES;
        packed->bytes = item->kind == MPROC_STRING ? (const void *)item->string : item->bytes;
        packed->size = item->size;
        snprintf(text, sizeof text, "%zus", place);
        return item->size <= place && set_format(packed, text) ? 0 : MPROC_TOO_SMALL;
    default:
        return failure(-EINVAL, "value is a list, a map, an opaque value, an object or no value");
    }
}

static void shareable_list_store(const mproc_shareable_list *list, size_t index, const struct packed *packed)
{
    unsigned char *place = list->data + list->offsets[index];
    size_t size = list->offsets[index + 1] - list->offsets[index];
    memcpy(list->formats + index * WORD, packed->format, WORD);
    list->codes[index] = (unsigned char)packed->code;
    if (packed->code == CODE_STRING || packed->code == CODE_BYTES) {
        memset(place, 0, size);
        if (packed->size)
            memcpy(place, packed->bytes, packed->size);
    } else {
        memcpy(place, &packed->word, WORD);
    }
}

/* The bytes that a format like "24s" has; 0 where it is none, or has more than the place. */
static size_t text_size(const char *format, size_t place)
{
    char *end;
    unsigned long long size = strtoull(format, &end, 10);
    bool is_one = format[0] >= '0' && format[0] <= '9' && strcmp(end, "s") == 0;
    return is_one && size <= place ? (size_t)size : 0;
}

/* A string or bytes as they lie there. */
static int read_text(const unsigned char *place, size_t size, enum code code, mproc_value *value)
{
    char *copy = os_malloc(size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, place, size); /* once: somebody may write there meanwhile */
    while (size > 0 && copy[size - 1] == '\0')
        size--;
    int result = mproc_value_copy(value, code == CODE_STRING ? mproc_string_of(copy, size) : mproc_bytes(copy, size));
    free(copy);
    return result;
}

static int shareable_list_load(const mproc_shareable_list *list, size_t index, mproc_value *value)
{
    const unsigned char *place = list->data + list->offsets[index];
    size_t room = list->offsets[index + 1] - list->offsets[index];
    enum code code = (enum code)list->codes[index];
    char format[WORD + 1] = "";
    uint64_t word;
    double real;
    memcpy(format, list->formats + index * WORD, WORD);
    memcpy(&word, place, WORD);
    memcpy(&real, &word, sizeof real);
    size_t size = text_size(format, room);
    if (size && (code == CODE_STRING || code == CODE_BYTES))
        return read_text(place, size, code, value);
    if (code == CODE_NONE)
        *value = mproc_nil();
    else if (code == CODE_PLAIN && strcmp(format, FORMAT_INT) == 0)
        *value = mproc_int((int64_t)word);
    else if (code == CODE_PLAIN && strcmp(format, FORMAT_DOUBLE) == 0)
        *value = mproc_double(real);
    else if (code == CODE_PLAIN && strcmp(format, FORMAT_BOOL) == 0)
        *value = mproc_bool(((const unsigned char *)&word)[WORD - 1] != 0);
    else
        return MPROC_BROKEN;
    return 0;
}

/* ---- making and attaching ---- */

/* Where the items' places are. 0, -EINVAL, -ENOMEM. */
static int shareable_list_measure(mproc_shareable_list *list, const mproc_value *items, size_t *size)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct packed packed;
        size_t place = place_for(&items[i]);
        int result = shareable_list_pack(&packed, &items[i], place);
        if (result)
            return failure(-EINVAL,
                           result == MPROC_TOO_SMALL ? "items[%zu] is longer than a format can say"
                                                     : "items[%zu] is no item of a shareable list",
                           i);
        list->offsets[i] = offset;
        if (__builtin_add_overflow(offset, place, &offset))
            return -ENOMEM;
    }
    list->offsets[list->count] = offset;
    size_t more = (list->count + 2) * WORD + list->count * (WORD + 1);
    return __builtin_add_overflow(offset, more, size) ? -ENOMEM : 0;
}

static void shareable_list_fill(mproc_shareable_list *list, const mproc_value *items)
{
    unsigned char *base = mproc_shared_memory_data(list->memory);
    uint64_t count = list->count;
    shareable_list_lay_out(list, base, mproc_shared_memory_size(list->memory));
    memcpy(base, &count, WORD);
    memcpy(base + WORD, list->offsets, (list->count + 1) * WORD);
    for (size_t i = 0; i < list->count; i++) {
        struct packed packed;
        shareable_list_pack(&packed, &items[i], place_for(&items[i]));
        shareable_list_store(list, i, &packed);
    }
}

int mproc_shareable_list_create(mproc_shareable_list **list, const char *name, mproc_value items)
{
    unsigned before = failure_mark();
    if (!list)
        return refuse(__func__, "list is NULL");
    *list = NULL;
    if (items.kind != MPROC_LIST)
        return refuse(__func__, "items is no list");
    if (items.size && !items.items)
        return refuse(__func__, "items.items is NULL, but items.size is not 0");
    mproc_shareable_list *made = new_list(items.size);
    if (!made)
        return retold(__func__, before, -ENOMEM);
    size_t size = 0;
    int result = shareable_list_measure(made, items.items, &size);
    if (!result)
        result = mproc_shared_memory_create(&made->memory, name, size);
    if (result) {
        free(made);
        return retold(__func__, before, result);
    }
    shareable_list_fill(made, items.items);
    *list = made;
    return 0;
}

static bool are_in_order(const mproc_shareable_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->offsets[i + 1] < list->offsets[i] || list->offsets[i + 1] - list->offsets[i] < WORD)
            return false;
    return list->offsets[0] == 0;
}

static int read_layout(mproc_shareable_list **list, mproc_shared_memory *memory)
{
    unsigned char *base = mproc_shared_memory_data(memory);
    size_t size = mproc_shared_memory_size(memory);
    uint64_t count = 0;
    if (size >= 2 * WORD)
        memcpy(&count, base, WORD);
    if (size < 2 * WORD || count > size / WORD - 2)
        return MPROC_BROKEN;
    mproc_shareable_list *made = new_list(count);
    if (!made)
        return -ENOMEM;
    made->memory = memory;
    memcpy(made->offsets, base + WORD, (count + 1) * WORD);
    if (!are_in_order(made) || !shareable_list_lay_out(made, base, size)) {
        free(made);
        return MPROC_BROKEN;
    }
    *list = made;
    return 0;
}

int mproc_shareable_list_attach(mproc_shareable_list **list, const char *name)
{
    unsigned before = failure_mark();
    if (!list)
        return refuse(__func__, "list is NULL");
    *list = NULL;
    mproc_shared_memory *memory;
    int result = mproc_shared_memory_attach(&memory, name);
    if (result)
        return retold(__func__, before, result);
    result = read_layout(list, memory);
    if (result)
        mproc_shared_memory_free(memory);
    return retold(__func__, before, result);
}

mproc_shared_memory *mproc_shareable_list_memory(const mproc_shareable_list *list)
{
    return list ? list->memory : NULL;
}

size_t mproc_shareable_list_length(const mproc_shareable_list *list)
{
    return list ? list->count : 0;
}

mproc_shareable_list *mproc_shareable_list_free(mproc_shareable_list *list)
{
    if (list)
        mproc_shared_memory_free(list->memory);
    free(list);
    return NULL;
}

/* ---- use ---- */

/* The place that an index means. False when there is none. */
static bool shareable_list_place(const mproc_shareable_list *list, int64_t index, size_t *at)
{
    *at = index < 0 ? list->count - (size_t)(-(index + 1)) - 1 : (size_t)index;
    return *at < list->count;
}

int mproc_shareable_list_get(const mproc_shareable_list *list, int64_t index, mproc_value *value)
{
    unsigned before = failure_mark();
    size_t at;
    if (!list)
        return refuse(__func__, "list is NULL");
    if (!value)
        return refuse(__func__, "value is NULL");
    *value = mproc_nil();
    return retold(__func__, before,
                  shareable_list_place(list, index, &at) ? shareable_list_load(list, at, value) : MPROC_NOT_FOUND);
}

int mproc_shareable_list_set(mproc_shareable_list *list, int64_t index, mproc_value value)
{
    unsigned before = failure_mark();
    size_t at;
    struct packed packed;
    if (!list)
        return refuse(__func__, "list is NULL");
    if (shareable_list_is_text(&value) && value.size && !value.string)
        return refuse(__func__, "value.string is NULL, but value.size is not 0");
    if (!shareable_list_place(list, index, &at))
        return MPROC_NOT_FOUND;
    int result = shareable_list_pack(&packed, &value, list->offsets[at + 1] - list->offsets[at]);
    if (!result)
        shareable_list_store(list, at, &packed);
    return retold(__func__, before, result);
}

int mproc_shareable_list_copy(const mproc_shareable_list *list, mproc_value *items)
{
    unsigned before = failure_mark();
    if (!list)
        return refuse(__func__, "list is NULL");
    if (!items)
        return refuse(__func__, "items is NULL");
    *items = mproc_nil();
    mproc_value *all = os_malloc((list->count + 1) * sizeof *all);
    if (!all)
        return retold(__func__, before, -ENOMEM);
    int result = 0;
    size_t count = 0;
    while (!result && count < list->count) {
        result = shareable_list_load(list, count, &all[count]);
        count += !result;
    }
    if (!result)
        result = mproc_value_copy(items, mproc_list_of(all, count));
    while (count > 0)
        mproc_value_free(&all[--count]);
    free(all);
    return retold(__func__, before, result);
}

/* Count the items that are equal to a value. *where becomes the index of the first; where there is none it stays. */
static int shareable_list_seek(const mproc_shareable_list *list, mproc_value value, size_t *count, size_t *where)
{
    *count = 0;
    for (size_t i = 0; i < list->count; i++) {
        mproc_value item;
        int result = shareable_list_load(list, i, &item);
        if (result)
            return result;
        if (mproc_value_equal(item, value) && (*count)++ == 0)
            *where = i;
        mproc_value_free(&item);
    }
    return 0;
}

int mproc_shareable_list_index(const mproc_shareable_list *list, mproc_value value, size_t *index)
{
    unsigned before = failure_mark();
    size_t count;
    if (!list)
        return refuse(__func__, "list is NULL");
    if (!index)
        return refuse(__func__, "index is NULL");
    int result = shareable_list_seek(list, value, &count, index);
    return retold(__func__, before, result || count ? result : MPROC_NOT_FOUND);
}

int mproc_shareable_list_count(const mproc_shareable_list *list, mproc_value value, size_t *count)
{
    unsigned before = failure_mark();
    size_t first;
    if (!list)
        return refuse(__func__, "list is NULL");
    if (!count)
        return refuse(__func__, "count is NULL");
    return retold(__func__, before, shareable_list_seek(list, value, count, &first));
}
