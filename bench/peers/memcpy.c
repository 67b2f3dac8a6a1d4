/* A mark for the queue works with large messages: messages per second that copying alone allows, in one process.
 *
 *     memcpy [COPIES [BYTES [MESSAGES]]]
 *
 * A message that goes through shared memory is copied twice: from the sender's memory into the shared one, and from
 * there to the receiver's. COPIES is 2 for that, one after the other, or 1. Each copy goes from and to the next place
 * of areas that are larger than the caches: a queue's sender has made the message elsewhere, its receiver has other
 * things to do with it, and a queue may hold many, so that no cache is sure to have any of them. It is no upper bound:
 * two processes on two CPUs can do the two copies at the same time, and a short queue stays in the caches; the bare
 * ring shows that. */
#include "../measure.h"

#include <string.h>

enum {
    AREA = 64 << 20
};

int main(int argc, char **argv)
{
    size_t copies = argument(argc, argv, 1, 2);
    size_t size = argument(argc, argv, 2, 1 << 20);
    size_t count = argument(argc, argv, 3, 2000) * copies;
    unsigned char *from = shared_pages(AREA), *to = shared_pages(AREA);
    size_t at = 0;

    must(copies > 0 && size > 0 && AREA % size == 0, "a size that divides 64 MiB");
    pin_to_cpu(0);
    memset(from, 'x', AREA);
    memset(to, 0, AREA);
    double begin = seconds_now();
    for (size_t i = 0; i < count; i++) {
        memcpy(to + at, from + at, size);
        at = (at + size) % AREA;
    }
    double seconds = seconds_now() - begin;
    must(to[0] == 'x' && to[size - 1] == 'x', "the copy is wrong");
    report((double)count / (double)copies / seconds);
    return 0;
}
