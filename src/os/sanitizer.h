/* The sanitizer that the program was built with, though the library was not, and valgrind. */
#ifndef MPROC_OS_SANITIZER_H
#define MPROC_OS_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

/* Its name, if it reserves terabytes of address space for its shadow; else NULL. */
const char *os_sanitizer(void);

/* Whether valgrind runs this process. */
bool os_is_in_valgrind(void);

extern void __asan_poison_memory_region(void const volatile *memory, size_t size) __attribute__((weak));
extern void __asan_unpoison_memory_region(void const volatile *memory, size_t size) __attribute__((weak));

/* Whether memory can be marked so that this process's next use of it is reported. */
static inline bool os_can_poison(void)
{
    return __asan_poison_memory_region && __asan_unpoison_memory_region;
}

void os_poison(const void *memory, size_t size);
void os_unpoison(const void *memory, size_t size);

#endif
