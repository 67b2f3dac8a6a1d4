/* What a server has becomes records, as snapshot.h says. Called by snapshot.c between two requests.
 *
 * Containers have their items in the stored form, with the numbers by which this server knows its objects. They are
 * copied as they are; only what may hold others is looked through for these. */
#include "manager/server/snapshot.h"

#include "container/sequence.h"
#include "container/table.h"
#include "manager/server/waitable.h"
#include "os/allocate.h"
#include "value/value.h"
#include <errno.h>
#include <mproc/log.h>
#include <string.h>

struct encoding {
    struct server *server;
    struct snapshot_bytes *records;
    struct server_object **found; /* what is to be written: each once */
    size_t count;
};

/* ---- what can be reached ---- */

static void find(struct encoding *encoding, struct server_object *served)
{
    if (!served || served->is_marked)
        return;
    served->is_marked = true;
    encoding->found[encoding->count++] = served;
}

static void find_in_value(struct encoding *encoding, const mproc_value *value)
{
    if (value->kind == MPROC_OBJECT)
        find(encoding, registry_find(&encoding->server->registry, (uintptr_t)value->object));
    for (size_t i = 0; value->kind == MPROC_LIST && i < value->size; i++)
        find_in_value(encoding, &value->items[i]);
    for (size_t i = 0; value->kind == MPROC_MAP && i < value->size; i++) {
        find_in_value(encoding, &value->pairs[i].key);
        find_in_value(encoding, &value->pairs[i].value);
    }
}

static int find_in_form(struct encoding *encoding, const unsigned char *form, size_t size)
{
    mproc_value value;
    int result = value_decode(&value, form, size);
    if (!result)
        find_in_value(encoding, &value);
    mproc_value_free(&value);
    return result;
}

/* ---- records ---- */

static unsigned char *extend(struct encoding *encoding, size_t size)
{
    unsigned char *at = snapshot_extend(encoding->records, WIRE_HEAD + size);
    if (at)
        wire_put_size(at, size);
    return at ? at + WIRE_HEAD : NULL;
}

static int add_form(struct encoding *encoding, const struct server_object *served, const unsigned char *form,
                    size_t size)
{
    unsigned char *at = extend(encoding, size);
    if (!at)
        return -ENOMEM;
    memcpy(at, form, size);
    return served->holds ? find_in_form(encoding, form, size) : 0;
}

static int add_value(struct encoding *encoding, const mproc_value *value)
{
    unsigned char *at = extend(encoding, value_encoded_size(value));
    if (!at)
        return -ENOMEM;
    value_encode_into(value, at);
    return 0;
}

static int add_head(struct encoding *encoding, const struct server_object *served, const mproc_value *made_with,
                    size_t count, uint64_t records)
{
    const mproc_value fields[SNAPSHOT_FIELDS] = {
        [SNAPSHOT_NUMBER] = mproc_int((int64_t)served->id),
        [SNAPSHOT_TYPE] = mproc_int((int64_t)served->type),
        [SNAPSHOT_NAME] = served->name ? mproc_string(served->name) : mproc_nil(),
        [SNAPSHOT_MADE_WITH] = mproc_list_of(made_with, count),
        [SNAPSHOT_RECORDS] = mproc_int((int64_t)records),
    };
    const mproc_value head = mproc_list_of(fields, SNAPSHOT_FIELDS);
    return add_value(encoding, &head);
}

/* ---- containers ---- */

/* Of dict, set and namespace: keys, and values where there are some. */
static int add_table(struct encoding *encoding, const struct server_object *served)
{
    const struct container *container = served->object;
    const struct table *table = table_of(container);
    bool has_values = served->type != MPROC_TYPE_SET;
    int result = add_head(encoding, served, NULL, 0, table_live(container) * (has_values ? 2 : 1));

    for (uint64_t i = 0; table && i < table->used && !result; i++) {
        const struct entry *entry = table_entry(table, i);
        size_t size;
        if (!entry)
            continue;
        const unsigned char *form = entry_form(entry, &size);
        result = add_form(encoding, served, form, size);
        if (!result && has_values)
            result = add_form(encoding, served, entry_value(entry), entry->value_size);
    }
    return result;
}

static int add_list(struct encoding *encoding, const struct server_object *served)
{
    const struct container *container = served->object;
    uint64_t count = sequence_count(container);
    int result = add_head(encoding, served, NULL, 0, count);

    for (uint64_t i = 0; i < count && !result; i++) {
        const struct element *element = sequence_item(container, i);
        result = add_form(encoding, served, element->bytes, element->size);
    }
    return result;
}

static int add_variable(struct encoding *encoding, const struct server_object *served)
{
    mproc_value value;
    int result = mproc_variable_get(served->object, &value, MPROC_FOREVER);
    if (!result)
        result = add_head(encoding, served, NULL, 0, 1);
    if (!result)
        result = add_value(encoding, &value);
    if (!result && served->holds)
        find_in_value(encoding, &value);
    mproc_value_free(&value);
    return result;
}

static int add_array(struct encoding *encoding, const struct server_object *served)
{
    size_t count = mproc_array_count(served->object), element_size = mproc_array_element_size(served->object);
    size_t size = count * element_size;
    const unsigned char *at = mproc_array_data(served->object);
    const mproc_value made_with[] = {mproc_int((int64_t)count), mproc_int((int64_t)element_size)};
    int result = add_head(encoding, served, made_with, 2, (size + SNAPSHOT_PIECE - 1) / SNAPSHOT_PIECE);

    while (size && !result) {
        size_t piece = size < SNAPSHOT_PIECE ? size : SNAPSHOT_PIECE;
        const mproc_value value = mproc_bytes(at, piece);
        result = add_value(encoding, &value);
        at += piece;
        size -= piece;
    }
    return result;
}

/* Nobody else uses the container, so its lock is free. */
static int add_locked(struct encoding *encoding, const struct server_object *served)
{
    int result = container_lock(served->container, served->object, OS_NEVER);
    if (result)
        return result;
    result = served->type == MPROC_TYPE_LIST ? add_list(encoding, served) : add_table(encoding, served);
    container_unlock(served->object);
    return result;
}

static int add_container(struct encoding *encoding, const struct server_object *served)
{
    switch (served->type) {
    case MPROC_TYPE_VARIABLE:
        return add_variable(encoding, served);
    case MPROC_TYPE_ARRAY:
        return add_array(encoding, served);
    default:
        return add_locked(encoding, served);
    }
}

/* ---- locks, queues and the like ---- */

/* As they are when all clients have left: who holds something has died for those that come after a restart. */
static int add_turns(struct encoding *encoding, const struct server_object *served)
{
    const struct waitable *waitable = served->waitable;
    int64_t number = waitable->number;
    for (const struct holding *holding = waitable->holdings; holding; holding = holding->next)
        if (__builtin_add_overflow(number, holding->count, &number))
            number = INT64_MAX;
    if (waitable->kind == MPROC_REMOTE_BOUNDED_SEMAPHORE && number > waitable->at_first)
        number = waitable->at_first;
    const mproc_value made_with[SNAPSHOT_WAITABLE_FIELDS] = {
        [SNAPSHOT_WAITABLE_NUMBER] = mproc_int(number),
        [SNAPSHOT_WAITABLE_FIRST] = mproc_int(waitable->at_first),
        [SNAPSHOT_WAITABLE_IS] =
            mproc_bool(waitable->is_set || waitable->is_broken || waitable->depth || waitable->owner_died),
        [SNAPSHOT_WAITABLE_OPEN] = mproc_int(waitable->unfinished),
    };
    int result = add_head(encoding, served, made_with, SNAPSHOT_WAITABLE_FIELDS, (uint64_t)waitable->item_count);
    for (const struct queued *queued = waitable->items; queued && !result; queued = queued->next) {
        find_in_value(encoding, &queued->value);
        result = add_value(encoding, &queued->value);
    }
    return result;
}

/* ---- the program's own types ---- */

/* Its objects keep no others, so what is in the state is not looked for. */
static int add_user(struct encoding *encoding, const struct server_object *served)
{
    const mproc_manager_type *type = served->user;
    mproc_value state = mproc_nil();
    if (!type->save) {
        mproc_log(MPROC_LOG_WARNING, "manager: %s is not saved, for its type %s cannot be",
                  served->name ? served->name : "an object", type->name);
        return 0;
    }
    int result = type->save(served->object, &state);
    if (!result)
        result = value_check(&state);
    const mproc_value name = mproc_string(type->name);
    if (!result)
        result = add_head(encoding, served, &name, 1, 1);
    if (!result)
        result = add_value(encoding, &state);
    mproc_value_free(&state);
    return result;
}

static int add(struct encoding *encoding, const struct server_object *served)
{
    if (served->waitable)
        return add_turns(encoding, served);
    if (served->container)
        return add_container(encoding, served);
    return add_user(encoding, served);
}

int snapshot_encode(struct server *server, struct snapshot_bytes *records)
{
    struct registry *registry = &server->registry;
    struct encoding encoding = {.server = server, .records = records};
    int result = 0;

    encoding.found = os_malloc((registry->count + 1) * sizeof *encoding.found);
    if (!encoding.found)
        return -ENOMEM;
    for (size_t i = 0; i < registry->used; i++)
        if (registry->slots[i])
            registry->slots[i]->is_marked = false;
    for (size_t i = 0; i < registry->used; i++)
        if (registry->slots[i] && registry->slots[i]->name)
            find(&encoding, registry->slots[i]);
    for (size_t i = 0; i < encoding.count && !result; i++)
        result = add(&encoding, encoding.found[i]);
    free(encoding.found);
    return result;
}
