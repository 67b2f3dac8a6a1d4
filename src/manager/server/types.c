/* The types that the program has registered. Read by the server, which was forked, was told of them, or has become one
 * since. */
#include "manager/server/types.h"
#include "manager/server/server.h"

#include "os/allocate.h"
#include "process/process_lock.h"
#include "util/atomic.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <mproc/log.h>
#include <string.h>

/* Entries are added in front and never change, so a reader needs no lock. */
struct type {
    const struct type *next;
    const mproc_manager_type *type;
};

static _Atomic(const struct type *) types;

const mproc_manager_type *types_find(const char *name)
{
    const struct type *entry = load_acquire(&types);
    while (entry && strcmp(entry->type->name, name) != 0)
        entry = entry->next;
    return entry ? entry->type : NULL;
}

const mproc_manager_method *types_method(const mproc_manager_type *type, const char *name)
{
    for (size_t i = 0; i < type->method_count; i++)
        if (strcmp(type->methods[i].name, name) == 0)
            return &type->methods[i];
    return NULL;
}

/* What is wrong with a type, or NULL. */
static const char *wrong_type(const mproc_manager_type *type)
{
    if (!type || !type->name || !*type->name)
        return "type or type.name is NULL, or the name is empty";
    if (!type->construct)
        return "type.construct is NULL";
    if (type->method_count && !type->methods)
        return "type.methods is NULL, but type.method_count is not 0";
    if (!type->save != !type->restore)
        return "type has one of save and restore without the other";
    if (!reserved_is_zero(type->reserved, sizeof type->reserved))
        return "a word of type.reserved is not 0";
    for (size_t i = 0; i < type->method_count; i++)
        if (!type->methods[i].name || !type->methods[i].function)
            return "one of type.methods has no name or no function";
    return NULL;
}

int mproc_manager_register(const mproc_manager_type *type)
{
    const char *wrong = wrong_type(type);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    struct type *entry = os_malloc(sizeof *entry);
    if (!entry)
        return outcome(__func__, -ENOMEM);
    process_lock();
    bool is_new = !types_find(type->name);
    *entry = (struct type){.next = load_relaxed(&types), .type = type};
    if (is_new)
        store_release(&types, entry);
    process_unlock();
    if (!is_new)
        free(entry);
    return outcome(__func__, is_new ? 0 : failure(-EEXIST, "there is a type of this name"));
}

/* ---- for a server that is started afresh ---- */

static size_t count_from(const struct type *entry)
{
    size_t count = 0;
    for (; entry; entry = entry->next)
        count++;
    return count;
}

int types_refer(struct function_reference **references, size_t *count)
{
    const struct type *entry = load_acquire(&types);
    *count = count_from(entry);
    *references = os_malloc((*count + 1) * sizeof **references);
    if (!*references)
        return -ENOMEM;
    for (struct function_reference *at = *references; entry; entry = entry->next, at++) {
        if (data_refer(at, entry->type)) {
            mproc_log(MPROC_LOG_ERROR, "manager: the type %s is in no object file, so a fresh server cannot have it",
                      entry->type->name);
            free(*references);
            return MPROC_NO_FUNCTION;
        }
    }
    return 0;
}

int types_adopt(const struct function_reference *references, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const mproc_manager_type *type = data_find(&references[i]);
        int result = mproc_manager_register(type); /* which may be there: by a constructor */
        if (result && result != -EEXIST)
            return result == -EINVAL ? MPROC_NO_FUNCTION : result;
    }
    return 0;
}
