/* Inputs of any size. The job's own array has a copy of the caller's entries; what these point to is copied into one
 * block for all, unless workers can use it where it is. The block stays for the next launch when it is large enough.
 * This is done only for jobs that no worker knows. The job names the block, so a sweep finds it. */
#include "pool/host/inputs.h"

#include "util/atomic.h"
#include <errno.h>
#include <string.h>

/* Data in the block is aligned as small blocks of the heap are. */
#define ALIGNMENT ((size_t)16)

static bool is_copied(const struct host_job *wish, const mproc_input *input)
{
    return input->size && (wish->copy_in || !host_is_usable(wish, input->data, input->size));
}

/* Add the room that an input needs in the block. False when that is more than can be. */
static bool add_room(size_t *bytes, size_t size)
{
    return !__builtin_add_overflow(*bytes, size, bytes) && !__builtin_add_overflow(*bytes, ALIGNMENT - 1, bytes) &&
           (*bytes &= ~(ALIGNMENT - 1), true);
}

bool inputs_plan(struct host_job *wish, const mproc_input *inputs, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        if ((!inputs[i].data && inputs[i].size) || (is_copied(wish, &inputs[i]) && !add_room(&bytes, inputs[i].size)))
            return false;
    wish->in = inputs;
    wish->in_size = sizeof *inputs;
    wish->has_inputs = true;
    wish->input_bytes = bytes;
    return true;
}

static const mproc_input *inputs_of(const struct host_job *wish, size_t first)
{
    return (const mproc_input *)wish->in + first;
}

size_t inputs_that_fit(const struct host_job *wish, size_t first, size_t most, size_t bytes)
{
    size_t used = 0, count = 0;
    for (const mproc_input *input = inputs_of(wish, first); count < most; input++, count++)
        if (is_copied(wish, input) && (!add_room(&used, input->size) || used > bytes))
            break;
    return count ? count : 1;
}

static unsigned char *room_of(const struct job *job)
{
    return (unsigned char *)load_relaxed(&job->inputs);
}

/* A block that is much too large is given back. */
static int need_room(struct job *job, size_t bytes)
{
    void *block = room_of(job);
    size_t usable = block ? heap_usable_size(block) : 0;
    if (usable >= bytes && usable / 4 <= bytes)
        return 0;
    heap_free_from(&job->inputs);
    return bytes ? heap_alloc(bytes, &job->inputs, &block) : 0;
}

int inputs_load(struct job *job, const struct host_job *wish, size_t first, size_t count)
{
    const mproc_input *from = inputs_of(wish, first);
    mproc_input *to = (mproc_input *)(void *)job->own_in;
    size_t bytes = 0, used = 0;
    for (size_t i = 0; i < count; i++)
        if (is_copied(wish, &from[i]) && !add_room(&bytes, from[i].size))
            return -ENOMEM;
    int result = need_room(job, bytes);
    unsigned char *room = room_of(job);
    for (size_t i = 0; i < count && !result; i++) {
        to[i] = (mproc_input){.data = from[i].size ? from[i].data : NULL, .size = from[i].size};
        if (!is_copied(wish, &from[i]))
            continue;
        to[i].data = memcpy(room + used, from[i].data, from[i].size);
        add_room(&used, from[i].size);
    }
    return result;
}
