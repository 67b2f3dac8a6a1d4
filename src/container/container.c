/* The head of the containers: stamps, dispatch, the lock, and what is done after a death. All it knows of
 * what lies in a container is that items are blocks in a table. */
#include "container/container.h"

#include "container/making.h"
#include "os/clock.h"
#include "os/listed.h"
#include "util/atomic.h"
#include "util/failure.h"
#include "value/value.h"
#include <errno.h>
#include <string.h>

extern const struct container_proxies *const __start_mproc_proxies[] OS_LIST;
extern const struct container_proxies *const __stop_mproc_proxies[] OS_LIST;

static const struct container_type *const types[] = {
    [MPROC_TYPE_DICT] = &container_dict,         [MPROC_TYPE_LIST] = &container_list,
    [MPROC_TYPE_SET] = &container_set,           [MPROC_TYPE_NAMESPACE] = &container_namespace,
    [MPROC_TYPE_VARIABLE] = &container_variable, [MPROC_TYPE_ARRAY] = &container_array,
};

#define TYPES (sizeof types / sizeof *types)

/* NULL where there are none. */
static const struct container_proxies *find_proxies(void)
{
    return &__start_mproc_proxies[0] < &__stop_mproc_proxies[0] ? __start_mproc_proxies[0] : NULL;
}

/* ---- what an object is ---- */

const struct container_type *container_type_numbered(int64_t number)
{
    return number >= 0 && number < (int64_t)TYPES ? types[number] : NULL;
}

const struct container_type *container_type_of(const void *object)
{
    if (!region_contains(object) || ((uintptr_t)object & 7) != 0)
        return NULL;
    const struct stamp *head = object;
    uint64_t stamp = load_acquire(&head->stamp);
    uint32_t type = (uint32_t)((stamp ^ stamp_mark(STAMP_CONTAINER, object)) >> 32);
    return (type & 1) == 0 ? container_type_numbered(type >> 1) : NULL;
}

enum mproc_type mproc_object_type(const void *object)
{
    const struct container_type *type = container_type_of(object);
    if (type)
        return type->type;
    const struct container_proxies *proxies = find_proxies();
    return object && !region_contains(object) && proxies ? proxies->type_of(object) : (enum mproc_type)0;
}

mproc_value mproc_object_value(void *object)
{
    mproc_value value = mproc_nil();
    value.kind = MPROC_OBJECT;
    value.tag = (uint32_t)mproc_object_type(object);
    value.object = object;
    if (value.tag == 0) /* no value either */
        value.tag = UINT32_MAX;
    return value;
}

int container_method_find(const struct container_type *type, const char *name)
{
    for (size_t i = 0; i < type->method_count; i++) {
        if (strcmp(type->methods[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* ---- calls ---- */

int container_no_such(const struct container_type *type, const void *object)
{
    if (!object)
        return failure(-EINVAL, "%s is NULL", type->argument);
    return failure(-EINVAL, "%s is no mproc_%s, or was freed", type->argument, type->name);
}

static int call_far(const struct container_type *type, void *object, unsigned method, const mproc_value *args,
                    size_t count, mproc_value *result, int64_t deadline)
{
    const struct container_proxies *proxies = find_proxies();
    if (!object || region_contains(object) || !proxies || proxies->type_of(object) != type->type)
        return container_no_such(type, object);
    return proxies->call(object, method, args, count, result, deadline);
}

int container_call(const struct container_type *type, void *object, unsigned method, const mproc_value *args,
                   size_t count, mproc_value *result, int64_t deadline)
{
    if (result)
        *result = mproc_nil();
    if (method >= type->method_count || count != type->methods[method].count)
        return failure(-EINVAL, "a method of %s has another number of arguments", type->name);
    for (size_t i = 0; i < count; i++) {
        int wrong = value_check_argument(&args[i], type->methods[method].arguments[i]);
        if (wrong)
            return wrong;
    }
    if (__builtin_expect(!container_is_near(type, object), 0))
        return call_far(type, object, method, args, count, result, deadline);
    return type->methods[method].function(object, args, result, deadline);
}

int container_call_for(const struct container_type *type, void *object, unsigned method, const mproc_value *args,
                       size_t count, mproc_value *result, mproc_time timeout)
{
    if (!os_timeout_is_valid(timeout)) {
        if (result)
            *result = mproc_nil();
        return failure(-EINVAL, "timeout is negative");
    }
    return os_outcome(container_call(type, object, method, args, count, result, os_deadline(timeout)), timeout);
}

int container_ask_for(const struct container_type *type, void *object, unsigned method, const mproc_value *args,
                      size_t count, mproc_value *result, mproc_time timeout)
{
    if (!result)
        return failure(-EINVAL, "%s is NULL", type->methods[method].result);
    return container_call_for(type, object, method, args, count, result, timeout);
}

int container_count_for(const struct container_type *type, void *object, unsigned method, const mproc_value *args,
                        size_t count, size_t *number, mproc_time timeout)
{
    if (!number)
        return failure(-EINVAL, "%s is NULL", type->methods[method].result);
    *number = 0;
    mproc_value found;
    int result = container_call_for(type, object, method, args, count, &found, timeout);
    if (!result && found.kind == MPROC_INT)
        *number = (size_t)found.integer;
    mproc_value_free(&found);
    return result;
}

/* ---- life ---- */

void container_finish(const struct container_type *type, void *object)
{
    stamp_set_up((enum stamp_kind)(STAMP_CONTAINER ^ (uint32_t)type->type << 1), object);
}

int container_create(const struct container_type *type, void **container)
{
    if (!container)
        return failure(-EINVAL, "%s is NULL", type->argument);
    struct making *making;
    void *made;
    int result = making_begin(sizeof(struct container), container, &making, &made);
    if (!result)
        making_finish(making, type, container);
    return result;
}

bool container_release_proxy(const struct container_type *type, void *object)
{
    const struct container_proxies *proxies = find_proxies();
    if (!object || region_contains(object) || !proxies || proxies->type_of(object) != type->type)
        return false;
    proxies->release(object);
    return true;
}

/* The stamp goes last: when this process dies before, the object is empty, and can be freed by another. */
void container_free(const struct container_type *type, void *object)
{
    struct container *container = object;
    if (!container_is_near(type, object)) {
        container_release_proxy(type, object);
        return;
    }
    if (container_lock(type, container, OS_NEVER))
        return;
    container_swap_table(type, container, 0, true);
    heap_free_marked(&container->object.stamp);
}

void container_free_any(const struct container_type *type, void *object)
{
    if (type == &container_array) /* which is no table of items */
        mproc_array_free(object);
    else
        container_free(type, object);
}

/* ---- the lock ---- */

int container_lock(const struct container_type *type, struct container *container, int64_t deadline)
{
    int result = owner_lock_try(&container->lock) ? 0 : owner_lock_acquire_slow(&container->lock, os_left(deadline));
    if (__builtin_expect(result != MPROC_OWNER_DIED, 1))
        return result;
    container_recover(type, container);
    return 0;
}

/* ---- items and tables on their way ---- */

static uintptr_t container_load(const heap_place *place)
{
    return load_acquire(place);
}

static void container_forget(heap_place *place)
{
    store_release(place, 0);
}

void container_add_fresh(struct container *container, void *item)
{
    ((struct item *)item)->next = container_load(&container->fresh);
    store_release(&container->fresh, (uintptr_t)item);
    container_forget(&container->moving);
}

static void container_free_chain(struct container *container, heap_place *chain)
{
    uintptr_t item;
    while ((item = container_load(chain)) != 0) {
        store_release(&container->moving, item);
        store_release(chain, ((struct item *)item)->next);
        heap_free_from(&container->moving);
    }
}

void container_settle(struct container *container)
{
    container_forget(&container->moving);
    container_forget(&container->fresh);
    container_free_chain(container, &container->dropped);
}

int container_take_table(struct container *container, size_t size, void **table)
{
    return heap_alloc_zeroed(size, &container->arriving, table);
}

static void free_leaving(const struct container_type *type, struct container *container)
{
    uintptr_t table = container_load(&container->leaving);
    if (table && load_relaxed(&container->leaves_whole) && type->empty)
        type->empty(table);
    store_release(&container->leaves_whole, 0);
    heap_free_from(&container->leaving);
}

void container_swap_table(const struct container_type *type, struct container *container, uintptr_t table, bool whole)
{
    store_release(&container->leaves_whole, whole);
    store_release(&container->leaving, container_table(container));
    store_release(&container->table, table); /* commit */
    container_forget(&container->arriving);
    free_leaving(type, container);
    container_settle(container);
}

void container_free_items(heap_place *places, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (container_load(&places[i]))
            heap_free_from(&places[i]);
    }
}

/* ---- after a death ---- */

static bool container_holds(const struct container_type *type, const struct container *container, uintptr_t item)
{
    return item && container_table(container) && type->holds && type->holds(container, item);
}

/* A chain of new items goes unless they are held already, one of old items unless they are held still. */
static void recover_chain(const struct container_type *type, struct container *container, heap_place *chain)
{
    if (container_holds(type, container, container_load(chain)))
        container_forget(chain);
    container_free_chain(container, chain);
}

void container_recover(const struct container_type *type, struct container *container)
{
    uintptr_t table = container_table(container);
    uintptr_t moving = container_load(&container->moving);
    if (moving == container_load(&container->fresh) || moving == container_load(&container->dropped) ||
        container_holds(type, container, moving))
        container_forget(&container->moving);
    heap_free_from(&container->moving);
    recover_chain(type, container, &container->fresh);
    recover_chain(type, container, &container->dropped);
    if (container_load(&container->arriving) == table)
        container_forget(&container->arriving);
    heap_free_from(&container->arriving);
    if (container_load(&container->leaving) == table) {
        container_forget(&container->leaving);
        store_release(&container->leaves_whole, 0);
    }
    free_leaving(type, container);
    if (table && type->renew)
        type->renew(container);
}
