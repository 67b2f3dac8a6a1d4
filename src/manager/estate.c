/* See estate.h. */
#include "manager/estate.h"

#include "manager/object.h"
#include <stdint.h>

static mproc_value address_of(const void *container)
{
    return mproc_int((int64_t)(uintptr_t)container);
}

int estate_add(mproc_set *estate, const void *container)
{
    return estate ? mproc_set_add(estate, address_of(container), MPROC_FOREVER) : 0;
}

int estate_remove(mproc_set *estate, const void *container)
{
    return estate ? mproc_set_discard(estate, address_of(container), MPROC_FOREVER) : 0;
}

/* One whose stamp is gone was being freed, and that is finished by the sweep. */
static void free_container(void *container)
{
    const struct object_type *type = object_type_of(container);
    if (type)
        object_free(type, container);
}

void estate_free(mproc_set *estate)
{
    mproc_value address;
    if (!estate)
        return;
    while (mproc_set_pop(estate, &address, MPROC_FOREVER) == 0)
        free_container((void *)(uintptr_t)address.integer);
    mproc_set_free(estate);
}
