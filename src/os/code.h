/* Machine code of this program, once more in another place. */
#ifndef MPROC_OS_CODE_H
#define MPROC_OS_CODE_H

#include <stddef.h>

/* A copy of size bytes of code, at most a page, less than 2 GiB from an address. The code must jump and refer to
 * nothing outside itself but through its arguments. It is never writable and executable at once. 0; -ENOMEM: there is
 * no room; -errno where the system lets nobody do this. */
int os_code_copy(const void *near, const void *code, size_t size, void **copy);
void os_code_free(void *copy);

/* Let debuggers and unwinders know a copy that is kept, if its code is one function. */
void os_code_tell(const void *copy, size_t size);

#endif
