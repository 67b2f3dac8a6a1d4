/* Values as text, as repr.h says. docs/values.md says which characters are written as they are. */
#include "value/repr.h"

#include "value/value.h"

#include "os/allocate.h"
#include "util/failure.h"
#include "value/double_text.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- text that grows ---- */

static void repr_add(struct repr *repr, const char *piece, size_t size)
{
    if (repr->result || size == 0)
        return;
    if (size > repr->room - repr->size) {
        size_t room = 2 * repr->room + size;
        char *data = os_realloc(repr->data, room);
        if (!data) {
            repr->result = -ENOMEM;
            return;
        }
        repr->data = data;
        repr->room = room;
    }
    memcpy(repr->data + repr->size, piece, size);
    repr->size += size;
}

void repr_string(struct repr *repr, const char *string)
{
    repr_add(repr, string, strlen(string));
}

void repr_format(struct repr *repr, const char *format, ...)
{
    char piece[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    repr_string(repr, piece);
}

/* ---- strings and bytes ---- */

/* Python prefers single quotes, unless only these would have to be escaped. */
static char quote_for(const mproc_value *value)
{
    bool has_single = value->size > 0 && memchr(value->string, '\'', value->size);
    bool has_double = value->size > 0 && memchr(value->string, '"', value->size);
    return has_single && !has_double ? '"' : '\'';
}

static void add_ascii(struct repr *repr, unsigned char c, char quote)
{
    const char *name = c == '\t' ? "\\t" : c == '\n' ? "\\n" : c == '\r' ? "\\r" : NULL;

    if (name)
        repr_string(repr, name);
    else if (c == '\\' || c == (unsigned char)quote)
        repr_format(repr, "\\%c", c);
    else if (c < ' ' || c >= 0x7f)
        repr_format(repr, "\\x%02x", c);
    else
        repr_add(repr, (const char *)&c, 1);
}

/* Decode one character of UTF-8. Returns its bytes, or 0 where there is none: cut off, overlong, a surrogate, or beyond
 * what Unicode has. */
static size_t repr_decode(const unsigned char *at, size_t left, uint32_t *character)
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

static void add_character(struct repr *repr, const unsigned char *at, size_t size, uint32_t character)
{
    if (is_printable(character))
        repr_add(repr, (const char *)at, size);
    else if (character <= 0xff)
        repr_format(repr, "\\x%02" PRIx32, character);
    else
        repr_format(repr, character <= 0xffff ? "\\u%04" PRIx32 : "\\U%08" PRIx32, character);
}

static void add_text(struct repr *repr, const mproc_value *value)
{
    const unsigned char *at = value->bytes;
    char quote = quote_for(value);

    repr_add(repr, &quote, 1);
    for (size_t left = value->size; left > 0;) {
        uint32_t character = 0;
        size_t size = repr_decode(at, left, &character);
        if (size == 0)
            repr_format(repr, "\\udc%02x", at[0]);
        else if (size == 1)
            add_ascii(repr, at[0], quote);
        else
            add_character(repr, at, size, character);
        size += size == 0;
        at += size;
        left -= size;
    }
    repr_add(repr, &quote, 1);
}

static void add_bytes(struct repr *repr, const mproc_value *value)
{
    const unsigned char *bytes = value->bytes;
    char quote = quote_for(value);

    repr_format(repr, "b%c", quote);
    for (size_t i = 0; i < value->size; i++)
        add_ascii(repr, bytes[i], quote);
    repr_add(repr, &quote, 1);
}

/* ---- all others ---- */

static void add_double(struct repr *repr, double real)
{
    char piece[DOUBLE_TEXT_SIZE];

    double_text(piece, real);
    repr_string(repr, piece);
}

/* The names of the types of <mproc/containers.h>. */
void repr_object(struct repr *repr, const mproc_value *value)
{
    static const char *const names[] = {NULL, "dict", "list", "set", "namespace", "variable", "array"};

    if (value->tag < sizeof names / sizeof *names)
        repr_format(repr, "<%s object at 0x%" PRIxPTR ">", names[value->tag], (uintptr_t)value->object);
    else
        repr_format(repr, "<object %" PRIu32 " at 0x%" PRIxPTR ">", value->tag, (uintptr_t)value->object);
}

static void repr_add_list(struct repr *repr, const mproc_value *list)
{
    repr_string(repr, "[");
    for (size_t i = 0; i < list->size && !repr->result; i++) {
        repr_string(repr, i > 0 ? ", " : "");
        repr_value(repr, &list->items[i]);
    }
    repr_string(repr, "]");
}

static void add_map(struct repr *repr, const mproc_value *map)
{
    repr_string(repr, "{");
    for (size_t i = 0; i < map->size && !repr->result; i++) {
        repr_string(repr, i > 0 ? ", " : "");
        repr_value(repr, &map->pairs[i].key);
        repr_string(repr, ": ");
        repr_value(repr, &map->pairs[i].value);
    }
    repr_string(repr, "}");
}

void repr_value(struct repr *repr, const mproc_value *value)
{
    switch (value->kind) {
    case MPROC_NIL:
        return repr_string(repr, "None");
    case MPROC_BOOL:
        return repr_string(repr, value->boolean ? "True" : "False");
    case MPROC_INT:
        return repr_format(repr, "%" PRId64, value->integer);
    case MPROC_DOUBLE:
        return add_double(repr, value->real);
    case MPROC_STRING:
        return add_text(repr, value);
    case MPROC_BYTES:
        return add_bytes(repr, value);
    case MPROC_LIST:
        return repr_add_list(repr, value);
    case MPROC_MAP:
        return add_map(repr, value);
    case MPROC_OPAQUE:
        return repr_format(repr, "<opaque %" PRIu32 ": %zu bytes>", value->tag, value->size);
    case MPROC_OBJECT:
        return repr->add_object ? repr->add_object(repr, value) : repr_object(repr, value);
    }
}

char *mproc_value_repr(mproc_value value)
{
    struct repr repr = {0};

    int result = value_check_argument(&value, "value");
    if (!result) {
        repr_value(&repr, &value);
        repr_add(&repr, "", 1);
        result = repr.result;
    }
    if (!result)
        return repr.data;
    free(repr.data);
    return outcome_null(__func__, result);
}
