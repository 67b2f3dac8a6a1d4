/* Records become what a server has, as snapshot.h says. Called by snapshot.c before there are clients.
 *
 * What is read may be any bytes: no size and no count is believed before as much has come. Objects are made first, all
 * of them, and then filled, so that they can refer to one another whatever their order. */
#include "manager/server/snapshot.h"

#include "manager/server/server_memory.h"
#include "manager/server/waitable.h"
#include "os/allocate.h"
#include "value/value.h"
#include <errno.h>
#include <mproc/log.h>
#include <string.h>

/* An object, and where the records of what is in it are. */
struct loaded {
    uint64_t number; /* in the file */
    struct server_object *served;
    const mproc_manager_type *user;
    size_t at, end;
};

struct decoding {
    struct server *server;
    const unsigned char *records;
    size_t at, end;
    struct loaded *objects; /* by number, when all are there */
    size_t count, capacity;
};

/* ---- records ---- */

static int next_form(struct decoding *decoding, const unsigned char **form, size_t *size)
{
    if (decoding->end - decoding->at < WIRE_HEAD)
        return -EBADMSG;
    uint64_t said = wire_get_size(decoding->records + decoding->at);
    decoding->at += WIRE_HEAD;
    if (said > decoding->end - decoding->at)
        return -EBADMSG;
    *form = decoding->records + decoding->at;
    *size = said;
    decoding->at += said;
    return 0;
}

static int next_value(struct decoding *decoding, mproc_value *value)
{
    const unsigned char *form;
    size_t size;
    int result = next_form(decoding, &form, &size);
    *value = mproc_nil();
    if (!result)
        result = value_decode(value, form, size);
    return result == -EINVAL ? -EBADMSG : result;
}

static int skip(struct decoding *decoding, uint64_t count)
{
    const unsigned char *form;
    size_t size;
    int result = 0;
    while (count-- && !result)
        result = next_form(decoding, &form, &size);
    return result;
}

/* ---- objects in values ---- */

static int by_number(const void *a, const void *b)
{
    uint64_t first = ((const struct loaded *)a)->number, second = ((const struct loaded *)b)->number;
    return first < second ? -1 : first > second;
}

static const struct loaded *find(const struct decoding *decoding, const mproc_value *object)
{
    const struct loaded wanted = {.number = (uintptr_t)object->object};
    return bsearch(&wanted, decoding->objects, decoding->count, sizeof wanted, by_number);
}

/* An object of a type that cannot be saved. */
static bool is_lost(const struct decoding *decoding, const mproc_value *value)
{
    return value->kind == MPROC_OBJECT && !find(decoding, value);
}

static void translate(const struct decoding *decoding, mproc_value *value);

/* A pair goes with its key: two that were different objects would be nil both. */
static void translate_map(const struct decoding *decoding, mproc_value *map)
{
    mproc_pair *pairs = (mproc_pair *)(uintptr_t)map->pairs;
    size_t count = 0;
    for (size_t i = 0; i < map->size; i++) {
        if (is_lost(decoding, &pairs[i].key))
            continue;
        pairs[count] = pairs[i];
        translate(decoding, &pairs[count].key);
        translate(decoding, &pairs[count].value);
        count++;
    }
    map->size = count;
}

/* In a value that was just decoded, and so is nobody else's: numbers of the file become those of the server. */
static void translate(const struct decoding *decoding, mproc_value *value)
{
    if (value->kind == MPROC_OBJECT) {
        const struct loaded *object = find(decoding, value);
        if (!object) {
            *value = mproc_nil();
            return;
        }
        value->tag = (uint32_t)object->served->type;
        value->object = (void *)(uintptr_t)object->served->id; // NOLINT: objects are numbers here
    }
    for (size_t i = 0; value->kind == MPROC_LIST && i < value->size; i++)
        translate(decoding, (mproc_value *)(uintptr_t)&value->items[i]);
    if (value->kind == MPROC_MAP)
        translate_map(decoding, value);
}

static void translate_for(const struct decoding *decoding, struct server_object *served, mproc_value *value)
{
    bool holds = false;
    translate(decoding, value);
    (void)registry_knows_all(&decoding->server->registry, value, true, &holds);
    served->holds = served->holds || holds;
}

/* ---- making objects ---- */

/* Integers of at least this; how many. */
static bool are_integers(const mproc_value *list, size_t count, int64_t least)
{
    bool are = list->size == count;
    for (size_t i = 0; are && i < count; i++)
        are = list->items[i].kind == MPROC_INT && list->items[i].integer >= least;
    return are;
}

/* Memory for its elements is taken when they have come. */
static int make_array(struct loaded *loaded, const mproc_value *made_with)
{
    size_t size;
    if (!are_integers(made_with, 2, 1))
        return -EBADMSG;
    size_t count = (size_t)made_with->items[0].integer, element_size = (size_t)made_with->items[1].integer;
    if (__builtin_mul_overflow(count, element_size, &size) || size > loaded->end - loaded->at)
        return -EBADMSG;
    loaded->served->container = &container_array;
    return mproc_array_create((mproc_array **)&loaded->served->object, count, element_size);
}

static int make_container(struct loaded *loaded, const struct container_type *type)
{
    void **object = &loaded->served->object;
    loaded->served->container = type;
    return type == &container_variable ? mproc_variable_create((mproc_variable **)object, mproc_nil())
                                       : container_create(type, object);
}

static int make_turns(struct server *server, struct server_object *served, const mproc_value *made_with)
{
    const mproc_value *fields = made_with->items;
    if (made_with->size != SNAPSHOT_WAITABLE_FIELDS || fields[SNAPSHOT_WAITABLE_NUMBER].kind != MPROC_INT ||
        fields[SNAPSHOT_WAITABLE_FIRST].kind != MPROC_INT || fields[SNAPSHOT_WAITABLE_IS].kind != MPROC_BOOL ||
        fields[SNAPSHOT_WAITABLE_OPEN].kind != MPROC_INT)
        return -EBADMSG;
    int64_t number = fields[SNAPSHOT_WAITABLE_NUMBER].integer, at_first = fields[SNAPSHOT_WAITABLE_FIRST].integer;
    int64_t unfinished = fields[SNAPSHOT_WAITABLE_OPEN].integer;
    bool is = fields[SNAPSHOT_WAITABLE_IS].boolean;
    if (number < 0 || at_first < 0 || unfinished < 0 ||
        ((int)served->type == (int)MPROC_REMOTE_BARRIER && number == 0) ||
        ((int)served->type == (int)MPROC_REMOTE_BOUNDED_SEMAPHORE && number > at_first))
        return -EBADMSG;
    struct waitable *waitable = waitable_create(server, (enum mproc_remote_kind)served->type, number);
    if (!waitable)
        return -ENOMEM;
    served->waitable = waitable;
    waitable->at_first = at_first;
    waitable->unfinished = unfinished;
    waitable->is_set = is && waitable->kind == MPROC_REMOTE_EVENT;
    waitable->is_broken = is && waitable->kind == MPROC_REMOTE_BARRIER;
    waitable->owner_died = is && (waitable->kind == MPROC_REMOTE_LOCK || waitable->kind == MPROC_REMOTE_RLOCK ||
                                  waitable->kind == MPROC_REMOTE_CONDITION);
    return 0;
}

static int make_user(struct loaded *loaded, const mproc_value *made_with)
{
    if (made_with->size != 1 || !value_is_text(&made_with->items[0]))
        return -EBADMSG;
    const char *name = made_with->items[0].string;
    loaded->user = types_find(name);
    if (loaded->user && loaded->user->restore)
        return 0;
    mproc_log(MPROC_LOG_ERROR, "manager: the type %s is not registered, or cannot be restored", name);
    return MPROC_NOT_FOUND;
}

static int make(struct decoding *decoding, struct loaded *loaded, const mproc_value *fields)
{
    struct registry *registry = &decoding->server->registry;
    const mproc_value *name = &fields[SNAPSHOT_NAME], *made_with = &fields[SNAPSHOT_MADE_WITH];
    int64_t type = fields[SNAPSHOT_TYPE].integer;

    if (name->kind != MPROC_NIL && (!value_is_text(name) || registry_named(registry, name->string)))
        return -EBADMSG;
    loaded->served = registry_add(registry, name->kind == MPROC_NIL ? NULL : name->string);
    if (!loaded->served)
        return -ENOMEM;
    const struct container_type *container = container_type_numbered(type);
    if (!container && type != MPROC_TYPE_USER && (type < MPROC_REMOTE_LOCK || type > MPROC_REMOTE_QUEUE))
        return -EBADMSG;
    loaded->served->type = (enum mproc_type)type;
    if (container) {
        int result = type == MPROC_TYPE_ARRAY ? make_array(loaded, made_with) : make_container(loaded, container);
        return result ? result : server_memory_add(decoding->server->server_memory, loaded->served->object);
    }
    if (type == MPROC_TYPE_USER)
        return make_user(loaded, made_with);
    return make_turns(decoding->server, loaded->served, made_with);
}

static int grow(struct decoding *decoding)
{
    if (decoding->count < decoding->capacity)
        return 0;
    size_t capacity = decoding->capacity ? 2 * decoding->capacity : 64;
    struct loaded *objects = os_realloc(decoding->objects, capacity * sizeof *objects);
    if (!objects)
        return -ENOMEM;
    decoding->objects = objects;
    decoding->capacity = capacity;
    return 0;
}

static bool is_head(const mproc_value *head)
{
    const mproc_value *fields = head->items;
    return head->kind == MPROC_LIST && head->size == SNAPSHOT_FIELDS && fields[SNAPSHOT_NUMBER].kind == MPROC_INT &&
           fields[SNAPSHOT_NUMBER].integer > 0 && fields[SNAPSHOT_TYPE].kind == MPROC_INT &&
           fields[SNAPSHOT_MADE_WITH].kind == MPROC_LIST && fields[SNAPSHOT_RECORDS].kind == MPROC_INT &&
           fields[SNAPSHOT_RECORDS].integer >= 0;
}

static int make_next(struct decoding *decoding)
{
    mproc_value head;
    int result = next_value(decoding, &head);
    if (!result)
        result = is_head(&head) ? grow(decoding) : -EBADMSG;
    if (!result) {
        struct loaded *loaded = &decoding->objects[decoding->count++];
        *loaded = (struct loaded){.number = (uint64_t)head.items[SNAPSHOT_NUMBER].integer, .at = decoding->at};
        result = skip(decoding, (uint64_t)head.items[SNAPSHOT_RECORDS].integer);
        loaded->end = decoding->at;
        if (!result)
            result = make(decoding, loaded, head.items);
    }
    mproc_value_free(&head);
    return result;
}

/* ---- filling them ---- */

/* A value that is none in that place. */
static int damaged(int result)
{
    return result == -EINVAL || result == MPROC_NOT_FOUND ? -EBADMSG : result;
}

static int put(struct decoding *decoding, struct server_object *served, mproc_value *key)
{
    mproc_value value;
    int result = next_value(decoding, &value);
    if (!result && !is_lost(decoding, key)) {
        translate_for(decoding, served, key);
        translate_for(decoding, served, &value);
        if (served->type == MPROC_TYPE_DICT)
            result = mproc_dict_set(served->object, *key, value, MPROC_FOREVER);
        else
            result =
                value_is_text(key) ? mproc_namespace_set(served->object, key->string, value, MPROC_FOREVER) : -EBADMSG;
    }
    mproc_value_free(&value);
    return result;
}

static int add_item(struct decoding *decoding, struct server_object *served, mproc_value *item)
{
    if (served->type == MPROC_TYPE_SET && is_lost(decoding, item))
        return 0;
    translate_for(decoding, served, item);
    if (served->waitable)
        return served->waitable->kind == MPROC_REMOTE_QUEUE ? waitable_push(served->waitable, item) : -EBADMSG;
    if (served->type == MPROC_TYPE_SET)
        return mproc_set_add(served->object, *item, MPROC_FOREVER);
    if (served->type == MPROC_TYPE_LIST)
        return mproc_list_append(served->object, *item, MPROC_FOREVER);
    return mproc_variable_set(served->object, *item, MPROC_FOREVER);
}

static int write_piece(struct server_object *served, const mproc_value *piece, size_t *written)
{
    size_t size = mproc_array_count(served->object) * mproc_array_element_size(served->object);
    if (piece->kind != MPROC_BYTES || piece->size > size - *written)
        return -EBADMSG;
    if (piece->size)
        memcpy((unsigned char *)mproc_array_data(served->object) + *written, piece->bytes, piece->size);
    *written += piece->size;
    return 0;
}

static int restore(const struct decoding *decoding, struct loaded *loaded, mproc_value *state)
{
    void *object = NULL;
    translate(decoding, state);
    int result = loaded->user->restore(&object, state);
    if (result)
        return result;
    loaded->served->user = loaded->user;
    loaded->served->object = object;
    return 0;
}

static int fill_next(struct decoding *decoding, struct loaded *loaded, size_t *written)
{
    struct server_object *served = loaded->served;
    mproc_value value;
    int result = next_value(decoding, &value);
    if (!result && served->type == MPROC_TYPE_ARRAY)
        result = write_piece(served, &value, written);
    else if (!result && (served->type == MPROC_TYPE_DICT || served->type == MPROC_TYPE_NAMESPACE))
        result = damaged(put(decoding, served, &value));
    else if (!result && served->type == MPROC_TYPE_USER)
        result = served->user ? -EBADMSG : restore(decoding, loaded, &value);
    else if (!result)
        result = damaged(add_item(decoding, served, &value));
    mproc_value_free(&value);
    return result;
}

/* Whether it came to as much as it was to be. */
static bool is_whole(const struct loaded *loaded, size_t written)
{
    const struct server_object *served = loaded->served;
    if (served->type == MPROC_TYPE_ARRAY)
        return written == mproc_array_count(served->object) * mproc_array_element_size(served->object);
    return served->type != MPROC_TYPE_USER || served->user;
}

static int fill(struct decoding *decoding, struct loaded *loaded)
{
    size_t written = 0;
    int result = 0;
    decoding->at = loaded->at;
    decoding->end = loaded->end;
    while (decoding->at < decoding->end && !result)
        result = fill_next(decoding, loaded, &written);
    return result || is_whole(loaded, written) ? result : -EBADMSG;
}

static int make_all(struct decoding *decoding)
{
    int result = 0;
    while (decoding->at < decoding->end && !result)
        result = make_next(decoding);
    if (decoding->count)
        qsort(decoding->objects, decoding->count, sizeof *decoding->objects, by_number);
    for (size_t i = 1; i < decoding->count && !result; i++)
        if (decoding->objects[i].number == decoding->objects[i - 1].number)
            result = -EBADMSG;
    return result;
}

int snapshot_decode(struct server *server, const unsigned char *records, size_t size)
{
    struct decoding decoding = {.server = server, .records = records, .end = size};
    int result = make_all(&decoding);
    for (size_t i = 0; i < decoding.count && !result; i++)
        result = fill(&decoding, &decoding.objects[i]);
    free(decoding.objects);
    return result;
}
