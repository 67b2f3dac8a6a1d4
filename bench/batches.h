/* How messages are measured that go 100 at a time: as in messages.h, whose message is a whole batch here.
 *
 *     PROGRAM [PRODUCERS [CONSUMERS [BYTES [BATCHES]]]]            prints messages per second
 *
 * BYTES are those of a batch. put and get know that it is made of 100 messages. */
#ifndef BENCH_BATCHES_H
#define BENCH_BATCHES_H

#include "messages.h"

enum {
    BATCH = 100
};

static inline __attribute__((always_inline)) int measure_batches(int argc, char **argv, const struct channel *kind)
{
    must(argument(argc, argv, 3, 64 * BATCH) % BATCH == 0, "a size that 100 divides");
    report(measure_rate(argc, argv, kind) * BATCH);
    return 0;
}

#endif
