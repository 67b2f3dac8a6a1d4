/* What a client and the server of a manager say to each other. Both sides use this; it moves no bytes.
 *
 *     frame      size of what follows, 8 bytes, the highest first | that many bytes
 *
 * Three frames of at most WIRE_HELLO_MOST bytes authenticate both sides (all fields have fixed sizes):
 *
 *     server     magic | version | nonce of the server | its instance
 *     client     nonce of the client | its identity | whether it resumes | answers received | proof of the client
 *     server     whether it refuses | answers before those that it will send | proof of the server
 *
 * A proof is HMAC-SHA-256, under the key, of the role of who proves, the first frame, the second one without its proof,
 * what the server says beside its own, the address of the server as the kernel names it on this connection, and under
 * TLS what binds to it. Each field has its size before it. So a proof is good for one role, one connection and one
 * version.
 *
 * All other frames are values in their stored form:
 *
 *     request    [number, answers received, object, method, [arguments]]
 *     answer     [number, status, result]
 *
 * Numbers grow from 1 on. An object in a value is its number in the server, object 0 is the server itself. A method
 * that may wait has a timeout in nanoseconds as its last argument. The count of answers received lets the server forget
 * them; the others are sent again when the same client connects anew. */
#ifndef MPROC_MANAGER_WIRE_WIRE_H
#define MPROC_MANAGER_WIRE_WIRE_H

#include <mproc/value.h>

#define WIRE_HEAD       ((size_t)8)
#define WIRE_HELLO_MOST ((size_t)1024)
#define WIRE_FRAME_MOST (((size_t)1 << 30) + 65536) /* unless an option says otherwise */

#define WIRE_NONCE    32
#define WIRE_IDENTITY 16
#define WIRE_PROOF    32
#define WIRE_MAGIC    "mproc-manager\0\1" /* the last byte is the version */

struct wire_server_hello {
    unsigned char magic[sizeof WIRE_MAGIC - 1];
    unsigned char nonce[WIRE_NONCE];
    unsigned char instance[WIRE_IDENTITY]; /* another one for each run of a server */
};

struct wire_client_hello {
    unsigned char nonce[WIRE_NONCE];
    unsigned char identity[WIRE_IDENTITY]; /* of the client; the same when it connects anew */
    unsigned char resumes;                 /* 1: it had a connection before, and waits for answers */
    unsigned char received[8];
    unsigned char proof[WIRE_PROOF];
};

enum {
    WIRE_WELCOME,
    WIRE_REFUSED,
    WIRE_UNKNOWN /* a client that resumes, but is not remembered */
};

/* With a failure an answer may have an opaque value of this tag in place of a result: the text that says why. */
#define WIRE_CAUSE 126u

struct wire_verdict {
    unsigned char refused; /* if not WIRE_WELCOME the rest is zero */
    unsigned char received[8];
    unsigned char proof[WIRE_PROOF];
};

void wire_put_size(unsigned char head[WIRE_HEAD], uint64_t size);
uint64_t wire_get_size(const unsigned char head[WIRE_HEAD]);

/* An answer with its frame, in memory from malloc(), its place for the frame's head before data. -EINVAL,
 * -ENOMEM. */
int wire_encode(const mproc_value *value, size_t before, unsigned char **data, size_t *size);

/* A request in its frame, in memory from malloc(), but for its number and the answers received. */
int wire_encode_request(uint64_t object, const char *method, const mproc_value *args, size_t count,
                        unsigned char **data, size_t *size);
void wire_fill_in(unsigned char *data, uint64_t number, uint64_t received);

/* Take a decoded answer apart; its third item is the result. false: it is none. */
bool wire_read_answer(const mproc_value *value, uint64_t *number, int *status);

struct wire_request {
    uint64_t number;
    uint64_t received;
    uint64_t object;
    const char *method;
    const mproc_value *args;
    size_t count;
};

/* Take a decoded request apart; false: it is none. */
bool wire_read_request(const mproc_value *value, struct wire_request *request);

/* What is to be proven: by the server if received is there, else by the client. */
struct wire_transcript {
    const void *key;
    size_t key_size;
    const struct wire_server_hello *server;
    const struct wire_client_hello *client;
    const unsigned char *received; /* of the verdict; NULL for the client's proof */
    const char *endpoint;
    const unsigned char *binding; /* of TLS, or NULL */
};

/* 0 or -ENOMEM. */
int wire_prove(const struct wire_transcript *transcript, unsigned char proof[WIRE_PROOF]);

/* Whether that is the proof. Takes as long for one that is nearly right. */
bool wire_is_proof(const struct wire_transcript *transcript, const unsigned char proof[WIRE_PROOF]);

#endif
