/* Values as text, as Python's repr() writes them. Called by mproc_value_repr() only. docs/values.md says which
 * characters are written as they are. */
#include "manager/value.h"

#include "os/allocate.h"
#include "util/double_text.h"
#include "util/failure.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- text that grows ---- */

struct text {
    char *data;
    size_t size, room;
    bool failed; /* no memory: what is added from then on is lost */
};

static void add(struct text *text, const char *piece, size_t size)
{
    if (text->failed || size == 0)
        return;
    if (size > text->room - text->size) {
        size_t room = 2 * text->room + size;
        char *data = os_realloc(text->data, room);
        if (!data) {
            text->failed = true;
            return;
        }
        text->data = data;
        text->room = room;
    }
    memcpy(text->data + text->size, piece, size);
    text->size += size;
}

static void add_string(struct text *text, const char *string)
{
    add(text, string, strlen(string));
}

__attribute__((format(printf, 2, 3))) static void add_format(struct text *text, const char *format, ...)
{
    char piece[64];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    add_string(text, piece);
}

/* ---- strings and bytes ---- */

/* Python prefers single quotes, unless only these would have to be escaped. */
static char quote_for(const mproc_value *value)
{
    bool has_single = value->size > 0 && memchr(value->string, '\'', value->size);
    bool has_double = value->size > 0 && memchr(value->string, '"', value->size);
    return has_single && !has_double ? '"' : '\'';
}

static void add_ascii(struct text *text, unsigned char c, char quote)
{
    const char *name = c == '\t' ? "\\t" : c == '\n' ? "\\n" : c == '\r' ? "\\r" : NULL;

    if (name)
        add_string(text, name);
    else if (c == '\\' || c == (unsigned char)quote)
        add_format(text, "\\%c", c);
    else if (c < ' ' || c >= 0x7f)
        add_format(text, "\\x%02x", c);
    else
        add(text, (const char *)&c, 1);
}

/* Decode one character of UTF-8. Returns its bytes, or 0 where there is none: cut off, overlong, a surrogate, or beyond
 * what Unicode has. */
static size_t decode(const unsigned char *at, size_t left, uint32_t *character)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = at[0] < 0x80 ? 1 : at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf8 ? 4 : 0;

    if (size == 0 || size > left)
        return 0;
    *character = size == 1 ? at[0] : at[0] & (0x7fU >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        *character = *character << 6 | (at[i] & 0x3f);
    }
    bool is_surrogate = *character >= 0xd800 && *character < 0xe000;
    return *character < lowest[size] || *character > 0x10ffff || is_surrogate ? 0 : size;
}

/* Above U+00A0 all but the noncharacters are taken for printable. */
static bool is_printable(uint32_t character)
{
    return character > 0xa0 && (character & 0xfffe) != 0xfffe && !(character >= 0xfdd0 && character <= 0xfdef);
}

static void add_character(struct text *text, const unsigned char *at, size_t size, uint32_t character)
{
    if (is_printable(character))
        add(text, (const char *)at, size);
    else if (character <= 0xff)
        add_format(text, "\\x%02" PRIx32, character);
    else
        add_format(text, character <= 0xffff ? "\\u%04" PRIx32 : "\\U%08" PRIx32, character);
}

static void add_text(struct text *text, const mproc_value *value)
{
    const unsigned char *at = value->bytes;
    char quote = quote_for(value);

    add(text, &quote, 1);
    for (size_t left = value->size; left > 0;) {
        uint32_t character = 0;
        size_t size = decode(at, left, &character);
        if (size == 0)
            add_format(text, "\\udc%02x", at[0]);
        else if (size == 1)
            add_ascii(text, at[0], quote);
        else
            add_character(text, at, size, character);
        size += size == 0;
        at += size;
        left -= size;
    }
    add(text, &quote, 1);
}

static void add_bytes(struct text *text, const mproc_value *value)
{
    const unsigned char *bytes = value->bytes;
    char quote = quote_for(value);

    add_format(text, "b%c", quote);
    for (size_t i = 0; i < value->size; i++)
        add_ascii(text, bytes[i], quote);
    add(text, &quote, 1);
}

/* ---- all others ---- */

static void add_value(struct text *text, const mproc_value *value);

static void add_double(struct text *text, double real)
{
    char piece[DOUBLE_TEXT_SIZE];

    double_text(piece, real);
    add_string(text, piece);
}

/* The names of the types of <mproc/containers.h>. */
static void add_object(struct text *text, const mproc_value *value)
{
    static const char *const names[] = {NULL, "dict", "list", "set", "namespace", "variable", "array"};

    if (value->tag < sizeof names / sizeof *names)
        add_format(text, "<%s object at 0x%" PRIxPTR ">", names[value->tag], (uintptr_t)value->object);
    else
        add_format(text, "<object %" PRIu32 " at 0x%" PRIxPTR ">", value->tag, (uintptr_t)value->object);
}

static void add_list(struct text *text, const mproc_value *list)
{
    add_string(text, "[");
    for (size_t i = 0; i < list->size && !text->failed; i++) {
        add_string(text, i > 0 ? ", " : "");
        add_value(text, &list->items[i]);
    }
    add_string(text, "]");
}

static void add_map(struct text *text, const mproc_value *map)
{
    add_string(text, "{");
    for (size_t i = 0; i < map->size && !text->failed; i++) {
        add_string(text, i > 0 ? ", " : "");
        add_value(text, &map->pairs[i].key);
        add_string(text, ": ");
        add_value(text, &map->pairs[i].value);
    }
    add_string(text, "}");
}

static void add_value(struct text *text, const mproc_value *value)
{
    switch (value->kind) {
    case MPROC_NIL:
        return add_string(text, "None");
    case MPROC_BOOL:
        return add_string(text, value->boolean ? "True" : "False");
    case MPROC_INT:
        return add_format(text, "%" PRId64, value->integer);
    case MPROC_DOUBLE:
        return add_double(text, value->real);
    case MPROC_STRING:
        return add_text(text, value);
    case MPROC_BYTES:
        return add_bytes(text, value);
    case MPROC_LIST:
        return add_list(text, value);
    case MPROC_MAP:
        return add_map(text, value);
    case MPROC_OPAQUE:
        return add_format(text, "<opaque %" PRIu32 ": %zu bytes>", value->tag, value->size);
    case MPROC_OBJECT:
        return add_object(text, value);
    }
}

char *mproc_value_repr(mproc_value value)
{
    struct text text = {0};

    int result = value_check_argument(&value, "value");
    if (!result) {
        add_value(&text, &value);
        add(&text, "", 1);
        result = text.failed ? -ENOMEM : 0;
    }
    if (!result)
        return text.data;
    free(text.data);
    return outcome_null(__func__, result);
}
