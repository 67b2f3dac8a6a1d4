/* The objects of the server: by number, by name, and which of them nobody can reach any more. Called by requests.c and
 * session.c.
 *
 * A number is {generation, place + 1}: a place that is used again has another generation, so the number of an object
 * that is gone is no other object's. An object goes with its last reference when it has no name and was never put into
 * another. One that was may be held by others, in a circle even: such orphans are looked for from time to time, from
 * all objects with a name or a reference on. That costs a walk through what holds objects, so it is done when there are
 * twice as many candidates as were left the last time. */
#include "manager/server/server.h"

#include "manager/server/server_memory.h"
#include "os/allocate.h"
#include "value/value.h"
#include <errno.h>
#include <string.h>

#define SLOTS_AT_FIRST 64

/* ---- numbers and names ---- */

struct server_object *registry_find(struct registry *registry, uint64_t id)
{
    size_t slot = (uint32_t)id - 1;
    if ((uint32_t)id == 0 || slot >= registry->used)
        return NULL;
    struct server_object *served = registry->slots[slot];
    return served && served->id == id ? served : NULL;
}

static struct server_object **bucket_of(struct registry *registry, const char *name)
{
    return &registry->names[value_hash_bytes(name, strlen(name)) % REGISTRY_NAMES];
}

struct server_object *registry_named(struct registry *registry, const char *name)
{
    struct server_object *served = *bucket_of(registry, name);
    while (served && strcmp(served->name, name) != 0)
        served = served->next_named;
    return served;
}

static void take_name(struct registry *registry, struct server_object *served)
{
    if (!served->name)
        return;
    struct server_object **at = bucket_of(registry, served->name);
    while (*at != served)
        at = &(*at)->next_named;
    *at = served->next_named;
    free(served->name);
    served->name = NULL;
}

static bool grow(struct registry *registry)
{
    size_t capacity = registry->capacity ? registry->capacity * 2 : SLOTS_AT_FIRST;
    struct server_object **slots = os_realloc(registry->slots, capacity * sizeof *slots);
    if (!slots)
        return false;
    registry->slots = slots;
    uint32_t *generations = os_realloc(registry->generations, capacity * sizeof *generations);
    if (!generations)
        return false;
    registry->generations = generations;
    uint32_t *free_slots = os_realloc(registry->free_slots, capacity * sizeof *free_slots);
    if (!free_slots)
        return false;
    registry->free_slots = free_slots;
    memset(generations + registry->capacity, 0, (capacity - registry->capacity) * sizeof *generations);
    registry->capacity = capacity;
    return true;
}

/* A new object, which is nothing yet. NULL: no memory. */
struct server_object *registry_add(struct registry *registry, const char *name)
{
    if (!registry->free_count && registry->used == registry->capacity && !grow(registry))
        return NULL;
    struct server_object *served = os_malloc(sizeof *served);
    char *copy = served && name ? os_malloc(strlen(name) + 1) : NULL;
    if (!served || (name && !copy)) {
        free(served);
        return NULL;
    }
    uint32_t slot = registry->free_count ? registry->free_slots[--registry->free_count] : (uint32_t)registry->used++;
    uint64_t generation = ++registry->generations[slot] & INT32_MAX; /* numbers are positive as int64_t */
    *served = (struct server_object){.id = generation << 32 | (slot + 1)};
    registry->slots[slot] = served;
    registry->count++;
    if (copy) {
        struct server_object **bucket = bucket_of(registry, name);
        served->name = strcpy(copy, name);
        served->next_named = *bucket;
        *bucket = served;
    }
    return served;
}

static void destroy(struct server *server, struct server_object *served)
{
    struct registry *registry = &server->registry;
    uint32_t slot = (uint32_t)served->id - 1;
    take_name(registry, served);
    registry->slots[slot] = NULL;
    registry->free_slots[registry->free_count++] = slot;
    registry->count--;
    if (served->container && served->object && !server_memory_remove(server->server_memory, served->object))
        container_free_any(served->container, served->object);
    if (served->user && served->object && served->user->destroy)
        served->user->destroy(served->object);
    waitable_free(server, served->waitable);
    free(served);
}

/* ---- objects in values ---- */

/* Whether every object in a value is there. nest: it goes into another one. */
bool registry_knows_all(struct registry *registry, const mproc_value *value, bool nest, bool *any)
{
    if (value->kind == MPROC_OBJECT) {
        struct server_object *served = registry_find(registry, (uintptr_t)value->object);
        if (!served || (uint32_t)served->type != value->tag)
            return false;
        served->is_nested = served->is_nested || nest;
        *any = true;
        return true;
    }
    for (size_t i = 0; value->kind == MPROC_LIST && i < value->size; i++)
        if (!registry_knows_all(registry, &value->items[i], nest, any))
            return false;
    for (size_t i = 0; value->kind == MPROC_MAP && i < value->size; i++)
        if (!registry_knows_all(registry, &value->pairs[i].key, nest, any) ||
            !registry_knows_all(registry, &value->pairs[i].value, nest, any))
            return false;
    return true;
}

/* ---- orphans ---- */

struct walk {
    struct server *server;
    struct server_object **found; /* those whose contents are to be looked at */
    size_t count;
};

static void mark(struct walk *walk, struct server_object *served)
{
    if (served->is_marked)
        return;
    served->is_marked = true;
    walk->found[walk->count++] = served; /* each comes once, so there is room */
}

static void mark_value(const mproc_value *value, void *arg)
{
    struct walk *walk = arg;
    if (value->kind == MPROC_OBJECT) {
        struct server_object *served = registry_find(&walk->server->registry, (uintptr_t)value->object);
        if (served)
            mark(walk, served);
    }
    for (size_t i = 0; value->kind == MPROC_LIST && i < value->size; i++)
        mark_value(&value->items[i], walk);
    for (size_t i = 0; value->kind == MPROC_MAP && i < value->size; i++) {
        mark_value(&value->pairs[i].key, walk);
        mark_value(&value->pairs[i].value, walk);
    }
}

/* Mark what is in an object. false: no memory to look. */
static bool mark_contents(struct walk *walk, struct server_object *served)
{
    mproc_value all;

    if (served->waitable)
        waitable_each_value(served->waitable, mark_value, walk);
    if (!served->container || !served->holds)
        return true;
    int copy = container_method_find(served->container, served->type == MPROC_TYPE_VARIABLE ? "get" : "copy");
    if (copy < 0)
        return true;
    if (container_call(served->container, served->object, (unsigned)copy, NULL, 0, &all, OS_NEVER))
        return false;
    mark_value(&all, walk);
    mproc_value_free(&all);
    return true;
}

static void each(struct registry *registry, void (*fn)(struct walk *walk, struct server_object *served),
                 struct walk *walk)
{
    for (size_t i = 0; i < registry->used; i++)
        if (registry->slots[i])
            fn(walk, registry->slots[i]);
}

static void unmark(struct walk *walk, struct server_object *served)
{
    (void)walk;
    served->is_marked = false;
}

static void mark_root(struct walk *walk, struct server_object *served)
{
    if (served->name || served->references || !served->is_nested)
        mark(walk, served);
}

static void end_unmarked(struct walk *walk, struct server_object *served)
{
    if (!served->is_marked)
        destroy(walk->server, served);
}

static void count_orphan(struct walk *walk, struct server_object *served)
{
    walk->count += !served->name && !served->references;
}

static void collect(struct server *server)
{
    struct registry *registry = &server->registry;
    struct walk walk = {.server = server, .found = os_malloc((registry->count + 1) * sizeof *walk.found)};
    bool all = walk.found != NULL;

    if (all) {
        each(registry, unmark, &walk);
        each(registry, mark_root, &walk);
    }
    for (size_t i = 0; all && i < walk.count; i++)
        all = mark_contents(&walk, walk.found[i]);
    if (all)
        each(registry, end_unmarked, &walk);
    free(walk.found);
    walk.count = 0;
    each(registry, count_orphan, &walk);
    registry->orphans = walk.count;
    registry->orphans_most = 2 * walk.count + ORPHANS_LEAST;
}

/* An object has lost its last reference, or its name. */
void registry_unreferenced(struct server *server, struct server_object *served)
{
    struct registry *registry = &server->registry;
    if (served->name || served->references)
        return;
    if (!served->is_nested)
        destroy(server, served);
    else if (++registry->orphans >= registry->orphans_most)
        registry->wants_look = true;
}

/* To be called between requests, when nobody has an object in hand. */
void registry_look(struct server *server)
{
    if (server->registry.wants_look)
        collect(server);
    server->registry.wants_look = false;
}

void registry_forget(struct server *server, struct server_object *served)
{
    take_name(&server->registry, served);
    registry_unreferenced(server, served);
}

void registry_clear(struct server *server)
{
    struct registry *registry = &server->registry;
    for (size_t i = 0; i < registry->used; i++)
        if (registry->slots[i])
            destroy(server, registry->slots[i]);
    free(registry->slots);
    free(registry->generations);
    free(registry->free_slots);
}
