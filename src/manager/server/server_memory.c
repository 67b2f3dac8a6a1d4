/* See server_memory.h. */
#include "manager/server/server_memory.h"

#include "container/container.h"
#include <stdint.h>

static mproc_value address_of(const void *container)
{
    return mproc_int((int64_t)(uintptr_t)container);
}

int server_memory_add(mproc_set *server_memory, const void *container)
{
    return server_memory ? mproc_set_add(server_memory, address_of(container), MPROC_FOREVER) : 0;
}

int server_memory_remove(mproc_set *server_memory, const void *container)
{
    return server_memory ? mproc_set_discard(server_memory, address_of(container), MPROC_FOREVER) : 0;
}

/* One whose stamp is gone was being freed, and that is finished by the sweep. */
static void free_container(void *container)
{
    const struct container_type *type = container_type_of(container);
    if (type)
        container_free_any(type, container);
}

void server_memory_free(mproc_set *server_memory)
{
    mproc_value address;
    if (!server_memory)
        return;
    while (mproc_set_pop(server_memory, &address, MPROC_FOREVER) == 0)
        free_container((void *)(uintptr_t)address.integer);
    mproc_set_free(server_memory);
}
