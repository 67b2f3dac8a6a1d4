/* Sanitizers: known by functions of theirs, which are there if anything of the process brought them. */
#include "os/sanitizer.h"

#include <stdlib.h>
#include <string.h>

extern void __asan_init(void) __attribute__((weak));
extern void __hwasan_init(void) __attribute__((weak));
extern void __msan_init(void) __attribute__((weak));
extern void __tsan_init(void) __attribute__((weak));

const char *os_sanitizer(void)
{
    if (__asan_init)
        return "AddressSanitizer";
    if (__hwasan_init)
        return "HWAddressSanitizer";
    if (__msan_init)
        return "MemorySanitizer";
    return __tsan_init ? "ThreadSanitizer" : NULL;
}

/* It has its own objects loaded before the program's; a statically linked program does not tell. */
bool os_is_in_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded && strstr(preloaded, "/vgpreload_");
}

void os_poison(const void *memory, size_t size)
{
    __asan_poison_memory_region(memory, size);
}

void os_unpoison(const void *memory, size_t size)
{
    __asan_unpoison_memory_region(memory, size);
}
