/* The program of this process: how it was started, what was loaded with it, and the files that are mapped. */
#ifndef MPROC_OS_PROGRAM_H
#define MPROC_OS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the kernel gave this process more rights than whoever started it has: by a set-user-ID bit or by
 * capabilities of the file. Its environment is then somebody else's. */
bool os_program_is_privileged(void);

/* Whether the kernel executed the dynamic loader, which was told the program as an argument; else the kernel executed
 * the program. */
bool os_program_has_loader(void);

/* Whether the code at this address came with the program: it lies in the program itself, or in an object file that the
 * program needs, or that such a one needs. Not when dlopen() or LD_PRELOAD has brought it. Not async-signal-safe. */
bool os_program_includes(const void *address);

/* The path of the program's file, absolute. 0; -ENOENT: it is no more, or there is another one; -errno. */
int os_program_path(char *path, size_t size);

/* The path of the file that is mapped at an address, absolute, as the kernel knows it: it holds whatever name the file
 * was opened by, and wherever this process has gone since. 0; -ENOENT: there is none, it was deleted, or another file
 * has its place; -errno. */
int os_mapped_path(const void *address, char *path, size_t size);

/* The arguments that this process was executed with, each with its '\0', as many as there is room for. How many bytes,
 * or -errno. */
long os_program_arguments(char *text, size_t size);

#endif
