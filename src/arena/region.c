/* The arena as a region of memory: creates it, maps it, adopts it in a fresh process. Called by member.c and by the
 * start of a spawned process. It knows the layout of the header and nothing of what is behind. */
#include "arena/region.h"

#include "arena/chunks.h"
#include "arena/layout.h"
#include "os/descriptor.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include <errno.h>
#include <mproc/log.h>
#include <sys/resource.h>

/* Free on every x86-64 and aarch64 Linux with 47 bits of user space, also under ASan, TSan and valgrind. */
#define REGION_BASE     ((uintptr_t)0x7e8000000000)
#define REGION_LARGEST  ((size_t)256 << 30)
#define REGION_SMALLEST ((size_t)128 << 20)

struct region region = {.fd = -1, .bell = -1};

static int write_header(int fd, size_t size)
{
    size_t chunks = (size - REGION_CHUNK_OFFSET) / (REGION_CHUNK + sizeof(struct chunk));
    int result = os_memory_back(fd, 0, LAYOUT_MEMBER_OFFSET);
    if (!result)
        result = os_memory_back(fd, LAYOUT_HEAP_OFFSET, LAYOUT_HEAP_SIZE);
    if (result)
        return result;
    struct arena_header *header = (struct arena_header *)REGION_BASE;
    header->version = LAYOUT_VERSION;
    header->pointer_size = sizeof(void *);
    header->base = REGION_BASE;
    header->size = size;
    header->chunk_limit = (uint32_t)chunks - 1; /* one is lost where the chunks are aligned */
    header->magic = LAYOUT_MAGIC;
    return 0;
}

static int create(size_t size)
{
    int fd = os_memory_create("mproc", size);
    if (fd < 0)
        return fd;
    int bell = -1;
    int result = os_memory_map((void *)REGION_BASE, size, fd);
    if (result)
        goto fail;
    result = write_header(fd, size);
    if (!result)
        result = bell = os_eventfd_create();
    if (result < 0) {
        os_memory_unmap((void *)REGION_BASE, size);
        goto fail;
    }
    region = (struct region){.base = (unsigned char *)REGION_BASE, .size = size, .fd = fd, .bell = bell};
    return 0;
fail:
    os_close(fd);
    return result;
}

/* A file limit is a limit on the memory file too, and exceeding it is a signal: so it is asked first. */
static size_t largest_size(void)
{
    struct rlimit limit;
    size_t size = REGION_LARGEST;
    while (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < size && size > REGION_SMALLEST)
        size /= 2;
    return size;
}

int region_open(void)
{
    int result = region.base ? 0 : -ENOMEM;
    for (size_t size = largest_size(); result == -ENOMEM && size >= REGION_SMALLEST; size /= 2)
        result = create(size);
    return result;
}

/* What is missing then: members that die are not found dead, and children cannot take part. */
static void say_lost(void)
{
    static _Atomic(bool) said;
    if (!atomic_exchange_explicit(&said, true, memory_order_relaxed))
        mproc_log(MPROC_LOG_WARNING, "the program has closed the descriptor of the shared memory: from here on this "
                                     "process cannot find out who has died, and has no children that can use it");
}

int region_back(size_t offset, size_t size)
{
    int result = os_memory_back(region.fd, offset, size);
    if (result != -EBADF)
        return result;
    say_lost();
    return os_memory_populate(region.base + offset, size);
}

int region_punch(size_t offset, size_t size)
{
    int result = os_memory_punch(region.fd, offset, size);
    return result == -EBADF ? os_memory_remove(region.base + offset, size) : result;
}

int64_t region_resident(void)
{
    return os_memory_resident(region.fd);
}

int region_adopt(int fd, int bell)
{
    if (region.base)
        return -EEXIST;
    int64_t size = os_memory_size(fd);
    if (size < 0)
        return (int)size;
    if ((size_t)size < REGION_SMALLEST || (size_t)size > REGION_LARGEST)
        return -EINVAL;
    int result = os_memory_map((void *)REGION_BASE, (size_t)size, fd);
    if (result)
        return result;
    const struct arena_header *header = (const struct arena_header *)REGION_BASE;
    if (header->magic != LAYOUT_MAGIC || header->version != LAYOUT_VERSION || header->pointer_size != sizeof(void *) ||
        header->base != REGION_BASE || header->size != (uint64_t)size) {
        os_memory_unmap((void *)REGION_BASE, (size_t)size);
        return -EINVAL;
    }
    os_set_close_on_exec(fd);
    os_set_close_on_exec(bell);
    region = (struct region){.base = (unsigned char *)REGION_BASE, .size = (size_t)size, .fd = fd, .bell = bell};
    return 0;
}
