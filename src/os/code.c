/* Copies of code, each on a page of its own. */
#include "os/code.h"

#include "os/code_frames.h"
#include "os/fault.h"
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)

/* Places are tried so far apart, on both sides, up to 1 GiB away. */
#define STEP  ((uintptr_t)64 << 20)
#define TRIES 16

static void *map_at(uintptr_t place)
{
    void *page =
        mmap((void *)place, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (page != MAP_FAILED && (uintptr_t)page != place) { /* a kernel before 4.17 takes the address for a hint */
        munmap(page, PAGE);
        return MAP_FAILED;
    }
    return page;
}

static void *map_near(uintptr_t near)
{
    uintptr_t base = near & ~(uintptr_t)(PAGE - 1);
    void *page = MAP_FAILED;
    for (uintptr_t i = 1; i <= TRIES && page == MAP_FAILED; i++) {
        if (base > i * STEP)
            page = map_at(base - i * STEP);
        if (page == MAP_FAILED)
            page = map_at(base + i * STEP);
    }
    return page;
}

/* The description begins behind the code, aligned. */
static size_t described_at(size_t size)
{
    return (size + 63) & ~(size_t)63;
}

static size_t describe(const void *code, void *page, size_t size)
{
    size_t at = described_at(size);
    if (at >= PAGE)
        return 0;
    return os_code_describe(code, page, size, (unsigned char *)page + at, PAGE - at);
}

void os_code_tell(const void *copy, size_t size)
{
    const unsigned char *description = (const unsigned char *)copy + described_at(size);
    if (described_at(size) < PAGE && memcmp(description, "\177ELF", 4) == 0)
        os_code_publish(description, PAGE - described_at(size));
}

int os_code_copy(const void *near, const void *code, size_t size, void **copy)
{
    int fault = os_fault(OS_MMAP);
    if (fault)
        return fault;
    void *page = size <= PAGE ? map_near((uintptr_t)near) : MAP_FAILED;
    if (page == MAP_FAILED)
        return -ENOMEM;
    memcpy(page, code, size);
    (void)describe(code, page, size);
    if (mprotect(page, PAGE, PROT_READ | PROT_EXEC)) {
        int error = errno;
        munmap(page, PAGE);
        return -error;
    }
    __builtin___clear_cache(page, (char *)page + size);
    *copy = page;
    return 0;
}

void os_code_free(void *copy)
{
    munmap(copy, PAGE);
}
