/* What the library says on stderr. It may be a pipe whose reader is gone, or a file that may not grow: then the words
 * are lost, and nothing else happens. Nothing in the library writes to stderr but through this file and os/pipe.h. */
#ifndef MPROC_OS_SAY_H
#define MPROC_OS_SAY_H

#include <stddef.h>

/* Write these bytes by one write(). */
void os_say_bytes(const char *bytes, size_t size);

/* The same of a text as printf() makes it, of at most 1024 bytes with its newline. Keeps errno. */
void os_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
