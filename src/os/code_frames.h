/* What debuggers and unwinders must know of code that was copied: without it a stack ends at the copy, or goes on
 * wrongly. */
#ifndef MPROC_OS_CODE_FRAMES_H
#define MPROC_OS_CODE_FRAMES_H

#include <stddef.h>

/* Describe a copy of a function, of size bytes, as the function itself is described: into this memory, aligned by 8,
 * which stays as long as the copy. How many bytes of it are used; 0 where the function is described in a way that is
 * not known here, or there is too little room. Takes no lock. */
size_t os_code_describe(const void *function, const void *copy, size_t size, void *memory, size_t room);

/* Tell the unwinder and debuggers of the description, once in a process and for ever. */
void os_code_publish(const void *memory, size_t size);

#endif
