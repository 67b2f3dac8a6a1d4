/* A client of the server, over all its connections: its answers, kept until it says that they came, and its references.
 * Called by server_connection.c and requests.c. */
#include "manager/server/server.h"

#include "os/allocate.h"
#include "value/value.h"
#include <errno.h>
#include <string.h>

/* ---- answers ---- */

static void free_first(struct session *session)
{
    struct answer *answer = session->first;
    session->first = answer->next;
    if (!session->first)
        session->last = NULL;
    session->kept -= answer->size;
    session->received++;
    free(answer);
}

/* The client says how many answers it has got. false: more than were sent. */
bool session_acknowledge(struct session *session, uint64_t received)
{
    while (session->received < received) {
        if (session->first == session->next_out)
            return false;
        free_first(session);
    }
    return true;
}

/* Keep no more than is allowed of what was sent. A client that comes back without such an answer is told so. */
static void forget_oldest(struct session *session)
{
    while (session->kept > SERVER_KEPT && session->first != session->next_out) {
        if (session->first->number > session->forgotten)
            session->forgotten = session->first->number;
        free_first(session);
    }
}

/* So many bytes of answers were sent. */
void session_sent(struct session *session, size_t size)
{
    session->out_offset += size;
    while (session->next_out && session->out_offset >= session->next_out->size) {
        struct answer *answer = session->next_out;
        session->out_offset -= answer->size;
        session->unread -= answer->size;
        session->kept += answer->size;
        session->next_out = answer->next;
    }
    forget_oldest(session);
}

static int encode(struct server *server, uint64_t number, int status, const mproc_value *result, struct answer **answer)
{
    const mproc_value fields[] = {mproc_int((int64_t)number), mproc_int(status), result ? *result : mproc_nil()};
    const mproc_value whole = mproc_list_of(fields, 3);
    unsigned char *data;
    size_t size;

    int error = wire_encode(&whole, sizeof **answer, &data, &size);
    if (error)
        return error;
    *answer = (struct answer *)data;
    if (size > server->limits.frame_most + WIRE_HEAD) {
        free(*answer);
        return -EMSGSIZE;
    }
    **answer = (struct answer){.number = number, .size = size};
    return 0;
}

/* Do something for each object in a value. */
static void each_object(struct server *server, struct session *session, const mproc_value *value,
                        void (*fn)(struct server *server, struct session *session, uint64_t object))
{
    if (value->kind == MPROC_OBJECT)
        fn(server, session, (uintptr_t)value->object);
    for (size_t i = 0; value->kind == MPROC_LIST && i < value->size; i++)
        each_object(server, session, &value->items[i], fn);
    for (size_t i = 0; value->kind == MPROC_MAP && i < value->size; i++) {
        each_object(server, session, &value->pairs[i].key, fn);
        each_object(server, session, &value->pairs[i].value, fn);
    }
}

static void refer_once(struct server *server, struct session *session, uint64_t object)
{
    if (session_refer(server, session, object, 1) && session->connection)
        session->connection->doom = "no memory for a reference"; /* then the client has it for nothing */
}

/* An object that was made for an answer which could not be given. */
static void let_go(struct server *server, struct session *session, uint64_t object)
{
    struct server_object *served = registry_find(&server->registry, object);
    (void)session;
    if (served && served->references == 0)
        registry_unreferenced(server, served);
}

static int encode_result(struct server *server, uint64_t number, int status, const mproc_value *result,
                         struct answer **answer)
{
    bool any = false;
    if (result && !registry_knows_all(&server->registry, result, false, &any))
        return SERVER_BAD_REQUEST;
    int error = encode(server, number, status, result, answer);
    if (error == -ENOMEM) /* perhaps for a moment only */
        error = encode(server, number, status, result, answer);
    return error;
}

static void append(struct session *session, struct answer *answer)
{
    if (session->last)
        session->last->next = answer;
    else
        session->first = answer;
    session->last = answer;
    if (!session->next_out)
        session->next_out = answer;
    session->unread += answer->size;
}

/* Where there is no memory for the answer to what was done, the client learns that nobody knows; where there is none
 * for that either, its connection ends, and it learns it when it asks again. */
void session_answer(struct server *server, struct session *session, uint64_t number, int status,
                    const mproc_value *result)
{
    struct answer *answer;
    int error = encode_result(server, number, status, result, &answer);
    if (!error && result)
        each_object(server, session, result, refer_once);
    if (error && result)
        each_object(server, session, result, let_go);
    if (error)
        error = encode_result(server, number, error == -ENOMEM ? MPROC_SERVER_DIED : error, NULL, &answer);
    if (!error) {
        append(session, answer);
        return;
    }
    if (number > session->forgotten)
        session->forgotten = number;
    if (session->connection)
        session->connection->doom = "no memory for an answer";
}

bool session_has_answer(const struct session *session, uint64_t number)
{
    for (const struct answer *answer = session->first; answer; answer = answer->next)
        if (answer->number == number)
            return true;
    return false;
}

/* ---- references: how often each object was sent to the client ---- */

static struct reference *place_of(const struct session *session, uint64_t object)
{
    size_t mask = session->reference_capacity - 1;
    size_t i = (size_t)(object * UINT64_C(0x9e3779b97f4a7c15) >> 32) & mask;
    while (session->references[i].object && session->references[i].object != object)
        i = (i + 1) & mask;
    return &session->references[i];
}

/* Make room for one more, leaving out what was released. */
static int make_room(struct session *session)
{
    if ((session->reference_count + 1) * 2 <= session->reference_capacity)
        return 0;
    struct session old = *session;
    size_t live = 0;
    for (size_t i = 0; i < old.reference_capacity; i++)
        live += old.references[i].count != 0;
    size_t capacity = 16;
    while (capacity < (live + 1) * 4)
        capacity *= 2;
    struct reference *references = os_malloc(capacity * sizeof *references);
    if (!references)
        return -ENOMEM;
    memset(references, 0, capacity * sizeof *references);
    session->references = references;
    session->reference_capacity = capacity;
    session->reference_count = live;
    for (size_t i = 0; i < old.reference_capacity; i++)
        if (old.references[i].count)
            *place_of(session, old.references[i].object) = old.references[i];
    free(old.references);
    return 0;
}

int session_refer(struct server *server, struct session *session, uint64_t object, uint64_t count)
{
    struct server_object *served = registry_find(&server->registry, object);
    if (!served)
        return SERVER_BAD_REQUEST;
    if (make_room(session))
        return -ENOMEM;
    struct reference *place = place_of(session, object);
    if (!place->object)
        session->reference_count++;
    place->object = object;
    place->count += count;
    served->references += count;
    return 0;
}

static void drop(struct server *server, struct reference *reference, uint64_t count)
{
    struct server_object *served = registry_find(&server->registry, reference->object);
    if (count > reference->count)
        count = reference->count;
    reference->count -= count;
    if (!served || count == 0)
        return;
    served->references -= count;
    if (served->references == 0)
        registry_unreferenced(server, served);
}

void session_release(struct server *server, struct session *session, uint64_t object, uint64_t count)
{
    if (session->reference_capacity)
        drop(server, place_of(session, object), count);
}

/* ---- life ---- */

static struct session *find(const struct server *server, const unsigned char identity[WIRE_IDENTITY])
{
    struct session *session = LIST_FIRST(&server->sessions);
    while (session && memcmp(session->identity, identity, WIRE_IDENTITY) != 0)
        session = LIST_NEXT(session, entry);
    return session;
}

static struct session *make(struct server *server, const unsigned char identity[WIRE_IDENTITY])
{
    struct session *session = os_malloc(sizeof *session);
    if (!session)
        return NULL;
    *session = (struct session){0};
    memcpy(session->identity, identity, WIRE_IDENTITY);
    LIST_INSERT_HEAD(&server->sessions, session, entry);
    return session;
}

/* Everything that the client has not got is sent again. */
static bool rewind_to(struct session *session, uint64_t received)
{
    if (!session_acknowledge(session, received))
        return false;
    session->next_out = session->first;
    session->out_offset = 0;
    session->unread += session->kept;
    session->kept = 0;
    return true;
}

/* The session of a client that has connected: its old one, or a new one. NULL: no memory, or a count that cannot be. */
struct session *session_open(struct server *server, const struct wire_client_hello *hello)
{
    struct session *session = find(server, hello->identity);
    if (!session)
        return hello->resumes ? NULL : make(server, hello->identity);
    if (session->connection)
        server_connection_drop(session->connection, "its client has connected anew");
    if (!rewind_to(session, wire_get_size(hello->received))) {
        session_end(server, session);
        return NULL;
    }
    server->lingering_count--;
    return session;
}

void session_end(struct server *server, struct session *session)
{
    for (size_t i = 0; i < session->reference_capacity; i++)
        drop(server, &session->references[i], session->references[i].count);
    while (session->first) {
        struct answer *answer = session->first;
        session->first = answer->next;
        free(answer);
    }
    if (!session->connection)
        server->lingering_count--;
    LIST_REMOVE(session, entry);
    free(session->references);
    free(session);
}

static void end_longest_lost(struct server *server)
{
    struct session *longest = NULL;
    for (struct session *session = LIST_FIRST(&server->sessions); session; session = LIST_NEXT(session, entry))
        if (!session->connection && (!longest || session->lost_at < longest->lost_at))
            longest = session;
    if (longest)
        session_end(server, longest);
}

/* The connection is lost: nothing waits for it and nothing is held by it from now on. */
void session_lose(struct server *server, struct session *session)
{
    session->connection = NULL;
    session->lost_at = server->now;
    server->lingering_count++;
    waitable_leave(server, session);
    if (server->lingering_count > SERVER_LINGERING)
        end_longest_lost(server);
}
