/* The stored form of values: MessagePack, written by msgpack-c's packer and read by its parser, both of which its
 * headers hold whole. docs/values.md says which value becomes what.
 *
 * What is read may be any bytes. The parser is run twice, with the callbacks below: first only to count what is there,
 * then, when all that was claimed has come, to fill a block of that size. */
#include "value/key.h"

#include "os/allocate.h"
#include "util/failure.h"
#include <errno.h>
#include <msgpack.h>

enum {
    EXT_SHARED = 1, /* the extension type of objects, and of opaque values with the tag 1 */
    OPAQUE_ONE = 0, /* the first byte of these; that of an object is its type, then comes its address */
    ADDRESS_SIZE = 8
};

/* ---- writing ---- */

static int count_bytes(void *count, const char *bytes, size_t size)
{
    (void)bytes;
    *(size_t *)count += size;
    return 0;
}

static int write_bytes(void *place, const char *bytes, size_t size)
{
    unsigned char **at = place;

    memcpy(*at, bytes, size);
    *at += size;
    return 0;
}

static void pack_bytes(msgpack_packer *packer, const mproc_value *value)
{
    if (value->size > 0)
        packer->callback(packer->data, value->bytes, value->size);
}

static void pack_opaque(msgpack_packer *packer, const mproc_value *value)
{
    const char first = OPAQUE_ONE;
    bool is_shared = value->tag == EXT_SHARED;

    msgpack_pack_ext(packer, value->size + is_shared, (int8_t)value->tag);
    if (is_shared)
        packer->callback(packer->data, &first, 1);
    pack_bytes(packer, value);
}

static void pack_object(msgpack_packer *packer, const mproc_value *value)
{
    char body[1 + ADDRESS_SIZE];

    body[0] = (char)value->tag;
    for (int i = 0; i < ADDRESS_SIZE; i++)
        body[1 + i] = (char)((uint64_t)(uintptr_t)value->object >> 8 * (ADDRESS_SIZE - 1 - i));
    msgpack_pack_ext_with_body(packer, body, sizeof body, EXT_SHARED);
}

static void pack_value(msgpack_packer *packer, const mproc_value *value)
{
    size_t items = 0;

    switch (value->kind) {
    case MPROC_NIL:
        msgpack_pack_nil(packer);
        break;
    case MPROC_BOOL:
        value->boolean ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
        break;
    case MPROC_INT:
        msgpack_pack_int64(packer, value->integer);
        break;
    case MPROC_DOUBLE:
        msgpack_pack_double(packer, value->real);
        break;
    case MPROC_STRING:
        msgpack_pack_str(packer, value->size);
        pack_bytes(packer, value);
        break;
    case MPROC_BYTES:
        msgpack_pack_bin(packer, value->size);
        pack_bytes(packer, value);
        break;
    case MPROC_OPAQUE:
        pack_opaque(packer, value);
        break;
    case MPROC_OBJECT:
        pack_object(packer, value);
        break;
    case MPROC_LIST:
        msgpack_pack_array(packer, value->size);
        items = value->size;
        break;
    case MPROC_MAP:
        msgpack_pack_map(packer, value->size);
        items = 2 * value->size;
        break;
    }
    for (size_t i = 0; i < items; i++)
        pack_value(packer, &value->items[i]);
}

size_t value_encoded_size(const mproc_value *value)
{
    size_t size = 0;

    pack_value(&(msgpack_packer){&size, count_bytes}, value);
    return size;
}

void value_encode_into(const mproc_value *value, unsigned char *data)
{
    pack_value(&(msgpack_packer){&data, write_bytes}, value);
}

int mproc_value_encode(mproc_value value, void **data, size_t *size)
{
    if (!data)
        return refuse(__func__, "data is NULL");
    if (!size)
        return refuse(__func__, "size is NULL");
    int result = value_check_argument(&value, "value");
    if (result)
        return outcome(__func__, result);
    size_t needed = value_encoded_size(&value);
    void *stored = os_malloc(needed);
    if (!stored)
        return outcome(__func__, -ENOMEM);
    value_encode_into(&value, stored);
    *data = stored;
    *size = needed;
    return 0;
}

int value_key_size(const mproc_value *key, size_t *size)
{
    if (key->kind == MPROC_LIST || key->kind == MPROC_MAP)
        return failure(-EINVAL, "a list or map cannot be a key, nor in a set");
    int result = value_check_argument(key, "key");
    if (result)
        return result;
    mproc_value plain = value_plain_key(key);
    *size = value_encoded_size(&plain);
    return 0;
}

void value_key_into(const mproc_value *key, unsigned char *data)
{
    mproc_value plain = value_plain_key(key);
    value_encode_into(&plain, data);
}

/* ---- reading ---- */

/* What the callbacks share. In the first run there is no block. */
struct decoder {
    struct value_block *block;
    struct value_measure need;
    bool has_map;
};

/* What the parser calls for each thing it finds: 0, or UNFIT to end it. */
enum {
    UNFIT = -1
};

static mproc_value on_root(struct decoder *decoder)
{
    (void)decoder;
    return mproc_nil();
}

static int on_nil(struct decoder *decoder, mproc_value *value)
{
    (void)decoder;
    *value = mproc_nil();
    return 0;
}

static int on_true(struct decoder *decoder, mproc_value *value)
{
    (void)decoder;
    *value = mproc_bool(true);
    return 0;
}

static int on_false(struct decoder *decoder, mproc_value *value)
{
    (void)decoder;
    *value = mproc_bool(false);
    return 0;
}

static int on_int64(struct decoder *decoder, int64_t integer, mproc_value *value)
{
    (void)decoder;
    *value = mproc_int(integer);
    return 0;
}

static int on_uint64(struct decoder *decoder, uint64_t integer, mproc_value *value)
{
    return integer > INT64_MAX ? UNFIT : on_int64(decoder, (int64_t)integer, value);
}

static int on_double(struct decoder *decoder, double real, mproc_value *value)
{
    (void)decoder;
    *value = mproc_double(real);
    return 0;
}

/* Fill in the bytes of a value that may have some; of none the parser does not say where they are. */
static int keep_bytes(struct decoder *decoder, const char *bytes, size_t size, mproc_value *value)
{
    if (size > VALUE_SIZE_MOST)
        return UNFIT;
    decoder->need.bytes += size + 1;
    value->size = size;
    value->bytes = decoder->block ? value_block_bytes(decoder->block, bytes, size) : bytes;
    return decoder->block && !value->bytes ? UNFIT : 0;
}

static int on_str(struct decoder *decoder, const char *data, const char *bytes, unsigned int size, mproc_value *value)
{
    (void)data;
    *value = mproc_string_of(NULL, 0);
    return keep_bytes(decoder, bytes, size, value);
}

static int on_bin(struct decoder *decoder, const char *data, const char *bytes, unsigned int size, mproc_value *value)
{
    (void)data;
    *value = mproc_bytes(NULL, 0);
    return keep_bytes(decoder, bytes, size, value);
}

/* An object: what is behind the byte of its type is its address. */
static int keep_object(uint32_t type, const char *bytes, size_t size, mproc_value *value)
{
    uint64_t address = 0;

    if (type > VALUE_TAG_MOST || size != ADDRESS_SIZE)
        return UNFIT;
    for (int i = 0; i < ADDRESS_SIZE; i++)
        address = address << 8 | (unsigned char)bytes[i];
    *value = mproc_nil();
    value->kind = MPROC_OBJECT;
    value->tag = type;
    value->object = (void *)(uintptr_t)address;
    return 0;
}

/* The parser counts the byte of the type to the size. A claim of 2^32 - 1 bytes has come round to 0 by that. */
static int on_ext(struct decoder *decoder, const char *data, const char *bytes, unsigned int size, mproc_value *value)
{
    (void)data;
    if (size == 0 || (signed char)bytes[0] < 0)
        return UNFIT;
    uint32_t tag = (uint32_t)bytes[0];
    bytes++;
    size--;
    if (tag == EXT_SHARED) {
        if (size == 0)
            return UNFIT;
        unsigned char type = (unsigned char)bytes[0];
        bytes++;
        size--;
        if (type != OPAQUE_ONE)
            return keep_object(type, bytes, size, value);
    }
    *value = mproc_opaque(tag, NULL, 0);
    return keep_bytes(decoder, bytes, size, value);
}

/* A list or map of that many values begins. Its size counts those that have come. */
static int begin_items(struct decoder *decoder, size_t values, mproc_value *value)
{
    decoder->need.values += values;
    if (decoder->need.values > VALUE_SIZE_MOST)
        return UNFIT;
    value->items = decoder->block && values > 0 ? value_block_values(decoder->block, values) : NULL;
    return decoder->block && values > 0 && !value->items ? UNFIT : 0;
}

static int on_array(struct decoder *decoder, unsigned int count, mproc_value *value)
{
    *value = mproc_list_of(NULL, 0);
    return begin_items(decoder, count, value);
}

static int on_map(struct decoder *decoder, unsigned int count, mproc_value *value)
{
    *value = mproc_dict_of(NULL, 0);
    decoder->has_map = true;
    return begin_items(decoder, 2 * (size_t)count, value);
}

static int on_array_item(struct decoder *decoder, mproc_value *list, mproc_value item)
{
    if (decoder->block)
        ((mproc_value *)list->items)[list->size] = item;
    list->size++;
    return 0;
}

static int on_map_item(struct decoder *decoder, mproc_value *map, mproc_value key, mproc_value value)
{
    if (decoder->block)
        ((mproc_pair *)map->pairs)[map->size] = (mproc_pair){key, value};
    map->size++;
    return 0;
}

/* The parser is a template of msgpack-c: these are its parameters. It refuses lists and maps that are in one another
 * deeper than its stack. */
#define MSGPACK_EMBED_STACK_SIZE        VALUE_DEPTH
#define msgpack_unpack_struct(name)     struct parser##name
#define msgpack_unpack_func(type, name) static type parser##name
#define msgpack_unpack_callback(name)   on##name
#define msgpack_unpack_object           mproc_value
#define msgpack_unpack_user             struct decoder
#define on_uint8                        on_int64
#define on_uint16                       on_int64
#define on_uint32                       on_int64
#define on_int8                         on_int64
#define on_int16                        on_int64
#define on_int32                        on_int64
#define on_float                        on_double
#include <msgpack/unpack_define.h>
#include <msgpack/unpack_template.h>

/* Run the parser once over all bytes. */
static int codec_parse(struct decoder *decoder, const void *data, size_t size, mproc_value *value)
{
    struct parser_context context;
    size_t end = 0;

    decoder->need = (struct value_measure){0};
    context.user = *decoder;
    parser_init(&context);
    if (parser_execute(&context, data, size, &end) != 1 || end != size)
        return failure(-EINVAL, "the stored form is malformed, cut off or too large");
    *value = parser_data(&context);
    *decoder = context.user;
    return 0;
}

int value_decode(mproc_value *value, const void *data, size_t size)
{
    struct decoder decoder = {0};
    struct value_block block;
    mproc_value parsed;

    *value = mproc_nil();
    int result = size > 0 ? codec_parse(&decoder, data, size, &parsed) : failure(-EINVAL, "the stored form is empty");
    if (!result)
        result = value_block_create(&block, &decoder.need);
    if (result)
        return result;
    if (block.memory) {
        decoder.block = &block;
        result = codec_parse(&decoder, data, size, &parsed);
        if (!result && decoder.has_map)
            result = value_check_argument(&parsed, "the stored form");
    }
    if (result) {
        free(block.memory);
        return result;
    }
    *value = parsed;
    value->memory = block.memory;
    return 0;
}

int mproc_value_decode(mproc_value *value, const void *data, size_t size)
{
    if (!value)
        return refuse(__func__, "value is NULL");
    if (!data) {
        *value = mproc_nil();
        return refuse(__func__, "data is NULL");
    }
    return outcome(__func__, value_decode(value, data, size));
}
