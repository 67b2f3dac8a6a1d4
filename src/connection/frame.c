/* The headers of messages, as frame.h says. It reads and writes memory only. */
#include "connection/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define LONG_MARK UINT32_MAX

size_t frame_encode(unsigned char header[FRAME_HEADER_MAX], uint64_t size)
{
    uint32_t first = htobe32(size <= INT32_MAX ? (uint32_t)size : LONG_MARK);
    uint64_t second = htobe64(size);

    memcpy(header, &first, sizeof first);
    if (size <= INT32_MAX)
        return sizeof first;
    memcpy(header + sizeof first, &second, sizeof second);
    return sizeof first + sizeof second;
}

int frame_decode(struct frame *frame, const unsigned char *bytes, size_t count)
{
    uint32_t first;
    uint64_t second;

    if (count < sizeof first)
        return -EAGAIN;
    memcpy(&first, bytes, sizeof first);
    first = be32toh(first);
    if (first <= INT32_MAX) {
        *frame = (struct frame){.header = sizeof first, .size = first};
        return 0;
    }
    if (first != LONG_MARK)
        return -EPROTO;
    if (count < sizeof first + sizeof second)
        return -EAGAIN;
    memcpy(&second, bytes + sizeof first, sizeof second);
    second = be64toh(second);
    if (second > FRAME_SIZE_MAX)
        return -EPROTO;
    *frame = (struct frame){.header = sizeof first + sizeof second, .size = second};
    return 0;
}
