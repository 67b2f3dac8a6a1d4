/* The handshake, as handshake.h says. It moves no bytes itself, so a fuzzer can be both the peer and the wire. */
#include "connection/handshake.h"

#include "os/random.h"
#include <errno.h>
#include <string.h>

#define PREFIX "{sha256}"
#define LABEL  "mproc: a client's challenge"

static const char challenge_mark[] = "#CHALLENGE#";
static const char welcome[] = "#WELCOME#";
static const char failure[] = "#FAILURE#";

enum {
    PREFIX_SIZE = sizeof PREFIX - 1,
    MARK_SIZE = sizeof challenge_mark - 1,
    SIZE_SIZE = 4,          /* of the size before a message */
    MD5_CHALLENGE_SIZE = 20 /* of what knows no prefixes, and of nothing else */
};

_Static_assert(PREFIX_SIZE + 2 * HANDSHAKE_RANDOM == HANDSHAKE_CHALLENGE, "a challenge is a prefix and two halves");
_Static_assert(SIZE_SIZE + MARK_SIZE + HANDSHAKE_CHALLENGE == HANDSHAKE_OUTPUT, "the longest message is a challenge");

/* ---- messages ---- */

static void handshake_put(struct handshake *handshake, const void *first, size_t first_size, const void *second,
                          size_t second_size)
{
    unsigned char header[FRAME_HEADER_MAX];
    unsigned char *to = handshake->output;

    size_t header_size = frame_encode(header, first_size + second_size);
    memcpy(to, header, header_size);
    memcpy(to + header_size, first, first_size);
    if (second_size)
        memcpy(to + header_size + first_size, second, second_size);
    handshake->output_start = 0;
    handshake->output_end = header_size + first_size + second_size;
}

static void put_challenge(struct handshake *handshake)
{
    handshake_put(handshake, challenge_mark, MARK_SIZE, handshake->challenge, HANDSHAKE_CHALLENGE);
}

static bool is(const unsigned char *message, size_t size, const char *text)
{
    return size == strlen(text) && memcmp(message, text, size) == 0;
}

static bool has_prefix(const unsigned char *message, size_t size)
{
    return size > PREFIX_SIZE && memcmp(message, PREFIX, PREFIX_SIZE) == 0;
}

/* ---- challenges ---- */

/* The second half of a client's challenge whose first half this is. */
static int mark_of_client(const struct handshake_key *key, const unsigned char *half,
                          unsigned char mac[MAC_SHA256_SIZE])
{
    unsigned char text[sizeof LABEL + HANDSHAKE_RANDOM];

    memcpy(text, LABEL, sizeof LABEL);
    memcpy(text + sizeof LABEL, half, HANDSHAKE_RANDOM);
    return mac_sha256(mac, key->bytes, key->size, text, sizeof text);
}

/* A listener's challenge is random in both halves. It goes to any peer that connects, and a mac would let that peer try
 * keys at leisure. */
static int make_challenge(struct handshake *handshake)
{
    unsigned char mac[MAC_SHA256_SIZE];
    unsigned char *half = handshake->challenge + PREFIX_SIZE;

    memcpy(handshake->challenge, PREFIX, PREFIX_SIZE);
    int result = os_random(half, 2 * HANDSHAKE_RANDOM);
    if (result || handshake->role == HANDSHAKE_LISTENER)
        return result;
    result = mark_of_client(&handshake->key, half, mac);
    if (!result)
        memcpy(half + HANDSHAKE_RANDOM, mac, HANDSHAKE_RANDOM);
    return result;
}

/* Whether the peer sends a challenge that we, or any client with this key, have made: 1, 0 or -errno. */
static int is_handed_on(const struct handshake *handshake, const unsigned char *challenge, size_t size)
{
    unsigned char mac[MAC_SHA256_SIZE];

    if (size != HANDSHAKE_CHALLENGE || memcmp(challenge, PREFIX, PREFIX_SIZE) != 0)
        return 0;
    if (handshake->role == HANDSHAKE_LISTENER)
        return memcmp(challenge, handshake->challenge, size) == 0;
    int result = mark_of_client(&handshake->key, challenge + PREFIX_SIZE, mac);
    return result ? result : mac_is_equal(challenge + PREFIX_SIZE + HANDSHAKE_RANDOM, mac, HANDSHAKE_RANDOM);
}

/* ---- steps ---- */

static int handshake_refuse(struct handshake *handshake)
{
    handshake->step = HANDSHAKE_FAILED;
    return 0;
}

static int answer_by_md5(struct handshake *handshake, const unsigned char *challenge, size_t size)
{
    unsigned char mac[MAC_MD5_SIZE];

    int result = mac_md5(mac, handshake->key.bytes, handshake->key.size, challenge, size);
    if (!result)
        handshake_put(handshake, mac, sizeof mac, NULL, 0);
    return result;
}

static int answer_by_sha256(struct handshake *handshake, const unsigned char *challenge, size_t size)
{
    unsigned char mac[MAC_SHA256_SIZE];

    int result = mac_sha256(mac, handshake->key.bytes, handshake->key.size, challenge, size);
    if (!result)
        handshake_put(handshake, PREFIX, PREFIX_SIZE, mac, sizeof mac);
    return result;
}

static int take_challenge(struct handshake *handshake, const unsigned char *message, size_t size)
{
    int result;

    if (size < MARK_SIZE + MD5_CHALLENGE_SIZE || memcmp(message, challenge_mark, MARK_SIZE) != 0)
        return handshake_refuse(handshake);
    message += MARK_SIZE;
    size -= MARK_SIZE;
    int handed_on = is_handed_on(handshake, message, size);
    if (handed_on < 0)
        return handed_on;
    bool is_md5 = size == MD5_CHALLENGE_SIZE;
    if (handed_on || (is_md5 ? !handshake->key.allow_md5 : !has_prefix(message, size)))
        return handshake_refuse(handshake);
    result = is_md5 ? answer_by_md5(handshake, message, size) : answer_by_sha256(handshake, message, size);
    if (!result)
        handshake->step = HANDSHAKE_AWAITS_VERDICT;
    return result;
}

/* Whether this answers our challenge: 1, 0 or -errno. */
static int is_answer(const struct handshake *handshake, const unsigned char *message, size_t size)
{
    const struct handshake_key *key = &handshake->key;
    unsigned char mac[MAC_SHA256_SIZE];
    size_t mac_size = MAC_SHA256_SIZE;
    int result;

    if (key->allow_md5 && size == MAC_MD5_SIZE) {
        mac_size = MAC_MD5_SIZE;
        result = mac_md5(mac, key->bytes, key->size, handshake->challenge, HANDSHAKE_CHALLENGE);
    } else if (has_prefix(message, size) && size == PREFIX_SIZE + MAC_SHA256_SIZE) {
        message += PREFIX_SIZE;
        result = mac_sha256(mac, key->bytes, key->size, handshake->challenge, HANDSHAKE_CHALLENGE);
    } else {
        return 0;
    }
    return result ? result : mac_is_equal(message, mac, mac_size);
}

static int take_answer(struct handshake *handshake, const unsigned char *message, size_t size)
{
    int right = is_answer(handshake, message, size);
    if (right < 0)
        return right;
    if (right) {
        handshake_put(handshake, welcome, sizeof welcome - 1, NULL, 0);
        handshake->step = handshake->role == HANDSHAKE_LISTENER ? HANDSHAKE_AWAITS_CHALLENGE : HANDSHAKE_PASSED;
    } else {
        handshake_put(handshake, failure, sizeof failure - 1, NULL, 0);
        handshake->step = HANDSHAKE_FAILED;
    }
    return 0;
}

static int take_verdict(struct handshake *handshake, const unsigned char *message, size_t size)
{
    if (!is(message, size, welcome))
        return handshake_refuse(handshake);
    if (handshake->role == HANDSHAKE_LISTENER) {
        handshake->step = HANDSHAKE_PASSED;
        return 0;
    }
    handshake->step = HANDSHAKE_AWAITS_ANSWER;
    put_challenge(handshake);
    return 0;
}

static int handshake_take(struct handshake *handshake, const unsigned char *message, size_t size)
{
    switch (handshake->step) {
    case HANDSHAKE_AWAITS_CHALLENGE:
        return take_challenge(handshake, message, size);
    case HANDSHAKE_AWAITS_ANSWER:
        return take_answer(handshake, message, size);
    case HANDSHAKE_AWAITS_VERDICT:
        return take_verdict(handshake, message, size);
    default:
        return handshake_refuse(handshake);
    }
}

/* ---- the calls ---- */

int handshake_begin(struct handshake *handshake, enum handshake_role role, const struct handshake_key *key)
{
    handshake->role = role;
    handshake->key = *key;
    handshake->output_start = handshake->output_end = handshake->input_have = 0;
    handshake->step = role == HANDSHAKE_LISTENER ? HANDSHAKE_AWAITS_ANSWER : HANDSHAKE_AWAITS_CHALLENGE;
    int result = make_challenge(handshake);
    if (!result && role == HANDSHAKE_LISTENER)
        put_challenge(handshake);
    return result;
}

size_t handshake_output(const struct handshake *handshake, const void **bytes)
{
    *bytes = handshake->output + handshake->output_start;
    return handshake->output_end - handshake->output_start;
}

void handshake_sent(struct handshake *handshake, size_t count)
{
    handshake->output_start += count;
}

bool handshake_is_over(const struct handshake *handshake)
{
    return handshake->output_start == handshake->output_end &&
           (handshake->step == HANDSHAKE_PASSED || handshake->step == HANDSHAKE_FAILED);
}

size_t handshake_input(struct handshake *handshake, void **place)
{
    struct frame frame;

    if (handshake->output_start < handshake->output_end || handshake_is_over(handshake))
        return 0;
    *place = handshake->input + handshake->input_have;
    if (handshake->input_have < SIZE_SIZE)
        return SIZE_SIZE - handshake->input_have;
    (void)frame_decode(&frame, handshake->input, SIZE_SIZE);
    return SIZE_SIZE + (size_t)frame.size - handshake->input_have;
}

int handshake_received(struct handshake *handshake, size_t count)
{
    struct frame frame;

    handshake->input_have += count;
    if (handshake->input_have < SIZE_SIZE)
        return 0;
    if (frame_decode(&frame, handshake->input, SIZE_SIZE) || frame.size > HANDSHAKE_MESSAGE)
        return handshake_refuse(handshake);
    if (handshake->input_have < SIZE_SIZE + frame.size)
        return 0;
    handshake->input_have = 0;
    int result = handshake_take(handshake, handshake->input + SIZE_SIZE, (size_t)frame.size);
    if (result)
        handshake->step = HANDSHAKE_FAILED;
    return result;
}
