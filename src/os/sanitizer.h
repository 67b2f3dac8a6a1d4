/* The sanitizer that the program was built with, though the library was not, and valgrind. */
#ifndef MPROC_OS_SANITIZER_H
#define MPROC_OS_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

/* Its name, if it reserves terabytes of address space for its shadow; else NULL. */
const char *os_sanitizer(void);

/* Whether valgrind runs this process. */
bool os_is_in_valgrind(void);

/* Whether memory can be marked so that this process's next use of it is reported. */
bool os_can_poison(void);
void os_poison(const void *memory, size_t size);
void os_unpoison(const void *memory, size_t size);

#endif
