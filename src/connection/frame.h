/* How messages lie in a stream. This is what CPython's multiprocessing.connection and multiprocessing.reduction write
 * and read, so that either side may be a Python program.
 *
 *     message of up to 2^31 - 1 bytes    size, 4 bytes big-endian | payload
 *     a longer one                       ff ff ff ff | size, 8 bytes big-endian | payload
 *     descriptor                         01, a byte of its own, with an SCM_RIGHTS control message
 *
 * A descriptor is told from the first byte of a size by the control message alone. The kernel ends a read after the
 * byte that carries one, so a receiver that reads ahead knows which byte it was: the last of that read. A descriptor
 * that comes with any other byte is in no message, and is closed. */
#ifndef MPROC_CONNECTION_FRAME_H
#define MPROC_CONNECTION_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_MAX ((size_t)12)
#define FRAME_SIZE_MAX   ((uint64_t)INT64_MAX)
#define FRAME_DESCRIPTOR ((unsigned char)1)

struct frame {
    size_t header; /* bytes before the payload */
    uint64_t size; /* bytes of payload */
};

/* Write the header of a message of size bytes, at most FRAME_SIZE_MAX. Returns its length. */
size_t frame_encode(unsigned char header[FRAME_HEADER_MAX], uint64_t size);

/* Read the header that begins at bytes, of which count are there. 0; -EAGAIN: they are too few; -EPROTO: no message
 * begins like this. */
int frame_decode(struct frame *frame, const unsigned char *bytes, size_t count);

#endif
