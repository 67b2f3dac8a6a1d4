/* Lists and maps out of stored forms: see snapshot.h. */
#include "manager/snapshot.h"

#include "manager/value.h"
#include "os/allocate.h"
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

int snapshot_take(struct snapshot *snapshot, size_t size)
{
    snapshot->size = 0;
    snapshot->bytes = os_malloc(size + HEAD_MOST);
    return snapshot->bytes ? 0 : -ENOMEM;
}

static void begin(struct snapshot *snapshot, uint64_t count, struct heads heads)
{
    unsigned char *at = snapshot->bytes + snapshot->size;
    unsigned count_bytes = count < 16 ? 0 : count <= UINT16_MAX ? 2 : 4;
    at[0] = count_bytes == 0 ? (unsigned char)(heads.fix | count) : count_bytes == 2 ? heads.with_16 : heads.with_32;
    for (unsigned i = 0; i < count_bytes; i++)
        at[1 + i] = (unsigned char)(count >> 8 * (count_bytes - 1 - i));
    snapshot->size += 1 + count_bytes;
}

void snapshot_begin_list(struct snapshot *snapshot, uint64_t count)
{
    begin(snapshot, count, (struct heads){0x90, 0xdc, 0xdd});
}

void snapshot_begin_map(struct snapshot *snapshot, uint64_t count)
{
    begin(snapshot, count, (struct heads){0x80, 0xde, 0xdf});
}

void snapshot_add(struct snapshot *snapshot, const void *bytes, size_t size)
{
    memcpy(snapshot->bytes + snapshot->size, bytes, size);
    snapshot->size += size;
}

int snapshot_finish(struct snapshot *snapshot, mproc_value *value)
{
    int result = value_decode(value, snapshot->bytes, snapshot->size);
    free(snapshot->bytes);
    return result;
}
