/* How much memory there is room for, as far as the kernel tells. */
#ifndef MPROC_OS_ROOM_H
#define MPROC_OS_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that this process can still take before the kernel must kill somebody: the least of what the machine has left
 * and of what each control group above this process has, in either version. What the kernel can take back counts as
 * room: the page cache, and what fits into swap. INT64_MAX where the kernel does not tell. root: before every path, ""
 * but in tests. */
int64_t os_room(const char *root);

/* Whether so many bytes more may be taken. Cheap: it looks only when as much was taken as was sure to be there at the
 * last look, which is a small part of what there was. */
bool os_room_take(size_t size);

#endif
