/* Bytes as the records of a snapshot whose seal is right. What becomes of them is gone when the server is; if they are
 * taken, what the server has can be saved again, and that is taken too. */
#include "manager/server/snapshot.h"

#include <stdlib.h>
#include <string.h>

static struct server server;

static int make_nothing(void **object, const mproc_value *args, size_t count)
{
    (void)args;
    (void)count;
    *object = malloc(1);
    return *object ? 0 : -1;
}

static int save_nothing(void *object, mproc_value *state)
{
    (void)object;
    *state = mproc_string("state");
    return 0;
}

static int restore_nothing(void **object, const mproc_value *state)
{
    return state->kind == MPROC_STRING ? make_nothing(object, NULL, 0) : -1;
}

static int load(const uint8_t *data, size_t size)
{
    memset(&server, 0, sizeof server);
    server.next_deadline = OS_NEVER;
    server.registry.orphans_most = 2;
    return snapshot_decode(&server, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const mproc_manager_type type = {
        .name = "T", .construct = make_nothing, .destroy = free, .save = save_nothing, .restore = restore_nothing};
    static bool is_registered;
    struct snapshot_bytes again = {.bytes = NULL};

    if (!is_registered && mproc_manager_register(&type))
        abort();
    is_registered = true;
    int result = load(data, size);
    if (!result && snapshot_encode(&server, &again))
        abort();
    registry_clear(&server);
    if (!result && load(again.bytes, again.size))
        abort();
    if (!result)
        registry_clear(&server);
    free(again.bytes);
    return 0;
}
