/* The order of values: see sort.h. qsort() is not stable, and cannot end when two values have no order. */
#include "container/sort.h"

#include "os/allocate.h"
#include <errno.h>
#include <string.h>

struct sorting {
    const mproc_value *values;
    uint64_t *from;
    uint64_t *to;
    bool descending;
};

/* Merge two sorted runs that follow each other. Of equal values the one from the first run comes first. */
static int sort_merge(const struct sorting *sorting, uint64_t begin, uint64_t middle, uint64_t end)
{
    uint64_t a = begin;
    uint64_t b = middle;
    for (uint64_t at = begin; at < end; at++) {
        int order = a < middle ? -1 : 1;
        if (a < middle && b < end) {
            int result =
                mproc_value_order(sorting->values[sorting->from[a]], sorting->values[sorting->from[b]], &order);
            if (result)
                return result;
            order = sorting->descending ? -order : order;
        }
        sorting->to[at] = order <= 0 ? sorting->from[a++] : sorting->from[b++];
    }
    return 0;
}

/* Merge all pairs of runs of a length. */
static int pass(const struct sorting *sorting, uint64_t count, uint64_t length)
{
    for (uint64_t begin = 0; begin < count; begin += 2 * length) {
        uint64_t middle = begin + length < count ? begin + length : count;
        uint64_t end = middle + length < count ? middle + length : count;
        int result = sort_merge(sorting, begin, middle, end);
        if (result)
            return result;
    }
    return 0;
}

int sort_order(const mproc_value *values, uint64_t *order, uint64_t count, bool descending)
{
    uint64_t *other = os_malloc((count + 1) * sizeof *other);
    if (!other)
        return -ENOMEM;
    struct sorting sorting = {values, order, other, descending};
    for (uint64_t i = 0; i < count; i++)
        order[i] = i;
    int result = 0;
    for (uint64_t length = 1; length < count && !result; length *= 2) {
        result = pass(&sorting, count, length);
        uint64_t *sorted = sorting.to;
        sorting.to = sorting.from;
        sorting.from = sorted;
    }
    if (sorting.from != order)
        memcpy(order, sorting.from, count * sizeof *order);
    free(other);
    return result;
}
