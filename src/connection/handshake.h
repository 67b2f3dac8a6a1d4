/* The handshake by which two ends prove to each other that they have the same key: the one of CPython's
 * multiprocessing.connection. Memory only: bytes go in and come out, and the caller moves them.
 *
 *     listener                               client
 *     #CHALLENGE#{sha256}<random>     ->
 *                                     <-     {sha256}<mac of {sha256}<random>>
 *     #WELCOME# or #FAILURE#          ->
 *                                     <-     #CHALLENGE#{sha256}<random>
 *     {sha256}<mac>                   ->
 *                                     <-     #WELCOME# or #FAILURE#
 *
 * Each is a message as frame.h has them, of at most 256 bytes. The mac is an HMAC by the key. Python up to 3.11 knows
 * MD5 alone: its challenge is 20 bytes without a prefix, and its answer to any challenge a bare mac of 16 bytes. That
 * is spoken only where it is allowed; without, no answer by anything but SHA-256 is given or taken, so that nothing in
 * between can talk two ends down to less.
 *
 * A peer without the key may pass a challenge on to one that has it, and come back with the answer. A listener answers
 * nothing before the peer has proved itself. A client answers first; so the second half of a client's challenge is a
 * mac of the first by which every client with that key knows it, and does not answer. */
#ifndef MPROC_CONNECTION_HANDSHAKE_H
#define MPROC_CONNECTION_HANDSHAKE_H

#include "connection/frame.h"
#include "crypto/mac.h"
#include <stdbool.h>

#define HANDSHAKE_MESSAGE   ((size_t)256) /* the longest that is taken */
#define HANDSHAKE_RANDOM    ((size_t)20)
#define HANDSHAKE_CHALLENGE (8 + 2 * HANDSHAKE_RANDOM) /* with its prefix */
#define HANDSHAKE_OUTPUT    (4 + 11 + HANDSHAKE_CHALLENGE)

enum handshake_role {
    HANDSHAKE_LISTENER,
    HANDSHAKE_CLIENT
};

enum handshake_step {
    HANDSHAKE_AWAITS_CHALLENGE,
    HANDSHAKE_AWAITS_ANSWER,
    HANDSHAKE_AWAITS_VERDICT, /* on our answer */
    HANDSHAKE_PASSED,
    HANDSHAKE_FAILED
};

/* What the key is, and how it may be proved. The bytes are the caller's, and stay while a handshake goes on. */
struct handshake_key {
    const void *bytes;
    size_t size;
    bool allow_md5;
};

/* Written by one thread at a time. Input is taken only when there is no output left. */
struct handshake {
    enum handshake_role role;
    enum handshake_step step;
    struct handshake_key key;
    unsigned char challenge[HANDSHAKE_CHALLENGE]; /* ours */
    unsigned char output[HANDSHAKE_OUTPUT];
    size_t output_start;
    size_t output_end;
    unsigned char input[4 + HANDSHAKE_MESSAGE];
    size_t input_have;
};

/* Begin. 0 or -errno: there is nothing random to be had. */
int handshake_begin(struct handshake *handshake, enum handshake_role role, const struct handshake_key *key);

/* handshake_output() returns the bytes to be sent before anything else. handshake_sent() notes that count of them were
 * sent. */
size_t handshake_output(const struct handshake *handshake, const void **bytes);
void handshake_sent(struct handshake *handshake, size_t count);

/* How many bytes are to be received next, and where to; 0 when there is output, or all is over. No more may be taken
 * from the stream, for what follows the handshake is not ours. */
size_t handshake_input(struct handshake *handshake, void **place);

/* Note that count bytes were received. 0: go on; -errno when no mac could be made: the handshake has failed. */
int handshake_received(struct handshake *handshake, size_t count);

/* Whether it has come to its end: the step is PASSED or FAILED, and all output was sent. */
bool handshake_is_over(const struct handshake *handshake);

#endif
