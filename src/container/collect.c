/* Lists and maps out of stored forms: see collect.h. */
#include "container/collect.h"

#include "os/allocate.h"
#include "value/value.h"
#include <errno.h>
#include <string.h>

/* The first bytes of MessagePack's lists and maps: with the count in it, and with one of 16 and of 32 bits behind it.
 */
struct heads {
    unsigned char fix;
    unsigned char with_16;
    unsigned char with_32;
};

#define HEAD_MOST 5

int collect_take(struct collection *collection, size_t size)
{
    collection->size = 0;
    collection->bytes = os_malloc(size + HEAD_MOST);
    return collection->bytes ? 0 : -ENOMEM;
}

static void collect_begin(struct collection *collection, uint64_t count, struct heads heads)
{
    unsigned char *at = collection->bytes + collection->size;
    unsigned count_bytes = count < 16 ? 0 : count <= UINT16_MAX ? 2 : 4;
    at[0] = count_bytes == 0 ? (unsigned char)(heads.fix | count) : count_bytes == 2 ? heads.with_16 : heads.with_32;
    for (unsigned i = 0; i < count_bytes; i++)
        at[1 + i] = (unsigned char)(count >> 8 * (count_bytes - 1 - i));
    collection->size += 1 + count_bytes;
}

void collect_begin_list(struct collection *collection, uint64_t count)
{
    collect_begin(collection, count, (struct heads){0x90, 0xdc, 0xdd});
}

void collect_begin_map(struct collection *collection, uint64_t count)
{
    collect_begin(collection, count, (struct heads){0x80, 0xde, 0xdf});
}

void collect_add(struct collection *collection, const void *bytes, size_t size)
{
    memcpy(collection->bytes + collection->size, bytes, size);
    collection->size += size;
}

int collect_finish(struct collection *collection, mproc_value *value)
{
    int result = value_decode(value, collection->bytes, collection->size);
    free(collection->bytes);
    return result;
}
