/* Frames, requests and proofs, as wire.h says. */
#include "manager/wire/wire.h"

#include "connection/address.h"
#include "crypto/mac.h"
#include "crypto/tls.h"
#include "os/allocate.h"
#include "value/value.h"
#include <errno.h>
#include <mproc/listener.h>
#include <string.h>

void wire_put_size(unsigned char head[WIRE_HEAD], uint64_t size)
{
    for (size_t i = 0; i < WIRE_HEAD; i++)
        head[i] = (unsigned char)(size >> (8 * (WIRE_HEAD - 1 - i)));
}

uint64_t wire_get_size(const unsigned char head[WIRE_HEAD])
{
    uint64_t size = 0;
    for (size_t i = 0; i < WIRE_HEAD; i++)
        size = size << 8 | head[i];
    return size;
}

int wire_encode(const mproc_value *value, size_t before, unsigned char **data, size_t *size)
{
    int result = value_check_argument(value, "an argument or result");
    if (result)
        return result;
    *size = value_encoded_size(value);
    *data = os_malloc(before + WIRE_HEAD + *size);
    if (!*data)
        return -ENOMEM;
    wire_put_size(*data + before, *size);
    value_encode_into(value, *data + before + WIRE_HEAD);
    *size += WIRE_HEAD;
    return 0;
}

bool wire_read_request(const mproc_value *value, struct wire_request *request)
{
    if (value->kind != MPROC_LIST || value->size != 5)
        return false;
    const mproc_value *fields = value->items;
    for (int i = 0; i < 3; i++)
        if (fields[i].kind != MPROC_INT || fields[i].integer < 0)
            return false;
    if (fields[3].kind != MPROC_STRING || strlen(fields[3].string) != fields[3].size || fields[4].kind != MPROC_LIST)
        return false;
    *request = (struct wire_request){
        .number = (uint64_t)fields[0].integer,
        .received = (uint64_t)fields[1].integer,
        .object = (uint64_t)fields[2].integer,
        .method = fields[3].string,
        .args = fields[4].items,
        .count = fields[4].size,
    };
    return true;
}

/* The first two fields are filled in when the request is sent, so they have fixed sizes. */
#define INT_MARK  0xcf
#define LIST_MARK 0x95
#define FIXED     ((size_t)19)

int wire_encode_request(uint64_t object, const char *method, const mproc_value *args, size_t count,
                        unsigned char **data, size_t *size)
{
    const mproc_value fields[] = {mproc_int((int64_t)object), mproc_string(method), mproc_list_of(args, count)};
    size_t sizes[3];
    size_t all = FIXED;

    for (int i = 0; i < 3; i++) {
        int result = value_check_argument(&fields[i], i == 1 ? "method" : "an argument");
        if (result)
            return result;
        all += sizes[i] = value_encoded_size(&fields[i]);
    }
    unsigned char *at = os_malloc(WIRE_HEAD + all);
    if (!at)
        return -ENOMEM;
    *data = at;
    *size = WIRE_HEAD + all;
    wire_put_size(at, all);
    at += WIRE_HEAD;
    memset(at, 0, FIXED);
    at[0] = LIST_MARK;
    at[1] = at[10] = INT_MARK;
    at += FIXED;
    for (int i = 0; i < 3; at += sizes[i], i++)
        value_encode_into(&fields[i], at);
    return 0;
}

void wire_fill_in(unsigned char *data, uint64_t number, uint64_t received)
{
    wire_put_size(data + WIRE_HEAD + 2, number);
    wire_put_size(data + WIRE_HEAD + 11, received);
}

bool wire_read_answer(const mproc_value *value, uint64_t *number, int *status)
{
    const mproc_value *fields = value->items;
    if (value->kind != MPROC_LIST || value->size != 3 || fields[0].kind != MPROC_INT || fields[0].integer < 0 ||
        fields[1].kind != MPROC_INT || fields[1].integer < INT32_MIN || fields[1].integer > INT32_MAX)
        return false;
    *number = (uint64_t)fields[0].integer;
    *status = (int)fields[1].integer;
    return true;
}

/* ---- proofs ---- */

/* What the bytes of all fields and their sizes can come to. */
#define TRANSCRIPT_MOST                                                                                                \
    (sizeof(struct wire_server_hello) + sizeof(struct wire_client_hello) + ADDRESS_GIVEN_MAX + TLS_BINDING + 128)

struct bytes {
    unsigned char bytes[TRANSCRIPT_MOST];
    size_t size;
};

static void add(struct bytes *all, const void *bytes, size_t size)
{
    wire_put_size(all->bytes + all->size, size);
    if (size)
        memcpy(all->bytes + all->size + WIRE_HEAD, bytes, size);
    all->size += WIRE_HEAD + size;
}

int wire_prove(const struct wire_transcript *transcript, unsigned char proof[WIRE_PROOF])
{
    struct bytes all = {.size = 0};

    add(&all, transcript->received ? "server" : "client", sizeof "server" - 1);
    add(&all, transcript->server, sizeof *transcript->server);
    add(&all, transcript->client, offsetof(struct wire_client_hello, proof));
    add(&all, transcript->received, transcript->received ? sizeof transcript->client->received : 0);
    add(&all, transcript->endpoint, strnlen(transcript->endpoint, ADDRESS_GIVEN_MAX));
    add(&all, transcript->binding, transcript->binding ? TLS_BINDING : 0);
    return mac_sha256(proof, transcript->key, transcript->key_size, all.bytes, all.size);
}

bool wire_is_proof(const struct wire_transcript *transcript, const unsigned char proof[WIRE_PROOF])
{
    unsigned char right[WIRE_PROOF];
    return wire_prove(transcript, right) == 0 && mac_is_equal(right, proof, WIRE_PROOF);
}
