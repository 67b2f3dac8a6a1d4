/* Bytes as the requests of one client that has passed the authentication, and of another one that comes after it. The
 * input is frames: two bytes that say how long one is, then the frame. Whatever they ask for, all of it is gone when
 * the server is. */
#include "manager/server/server.h"

#include <stdlib.h>
#include <string.h>

static struct server server;
static struct server_connection connections[2];

static struct session *join(unsigned char number)
{
    struct wire_client_hello hello = {.identity = {number}};
    struct session *session = session_open(&server, &hello);
    if (!session)
        abort();
    connections[number] = (struct server_connection){
        .server = &server, .state = SERVER_CONNECTION_READY, .session = session, .channel = {.fd = -1}};
    session->connection = &connections[number];
    return session;
}

static void request(struct session *session, const uint8_t *data, size_t size)
{
    struct wire_request found;
    mproc_value value;
    if (mproc_value_decode(&value, data, size) == 0 && wire_read_request(&value, &found))
        request_do(&server, session, &found);
    mproc_value_free(&value);
}

static void leave(struct session *session)
{
    session_lose(&server, session);
    session_end(&server, session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memset(&server, 0, sizeof server);
    server.limits.frame_most = 1 << 20;
    server.next_deadline = OS_NEVER;
    server.registry.orphans_most = 2;
    struct session *sessions[] = {join(0), join(1)};
    while (size >= 2) {
        size_t frame = (size_t)data[0] | (size_t)(data[1] & 15) << 8;
        frame = frame > size - 2 ? size - 2 : frame;
        request(sessions[data[1] >> 7], data + 2, frame);
        data += 2 + frame;
        size -= 2 + frame;
        server.now += OS_SEC(1);
        waitable_expire(&server);
    }
    leave(sessions[0]);
    leave(sessions[1]);
    registry_clear(&server);
    return 0;
}
