/* Bytes as the peer of a handshake, in both roles. The first byte chooses the role and whether MD5 is allowed. Then
 * come steps: a byte that chooses what the peer sends, and, for bytes as they stand, how many of those that follow. A
 * peer that knows the key may send what is right, for no fuzzer finds a mac; one that does not must never get through.
 */
#include "connection/handshake.h"

#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char secret[] = "the key of the fuzzer";

enum step {
    STEP_BYTES,
    STEP_ANSWER,
    STEP_MD5_ANSWER,
    STEP_WELCOME,
    STEP_CHALLENGE,
    STEP_MD5_CHALLENGE,
    STEPS
};

static struct handshake handshake;
static unsigned char seen[HANDSHAKE_OUTPUT]; /* the last output, with its size */
static bool was_proved;                      /* the peer sent a right mac */

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void take_output(void)
{
    const void *bytes;

    size_t size = handshake_output(&handshake, &bytes);
    check(size <= sizeof seen);
    if (size)
        memcpy(seen, bytes, size);
    handshake_sent(&handshake, size);
}

/* As much of it as the handshake wants to have. */
static void send_bytes(const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        void *place;
        take_output();
        size_t wanted = handshake_input(&handshake, &place);
        if (wanted == 0)
            return;
        check(wanted <= HANDSHAKE_MESSAGE && (unsigned char *)place >= handshake.input &&
              (unsigned char *)place + wanted <= handshake.input + sizeof handshake.input);
        wanted = wanted < size ? wanted : size;
        memcpy(place, bytes, wanted);
        check(handshake_received(&handshake, wanted) == 0);
        bytes += wanted;
        size -= wanted;
    }
    take_output();
}

static void send_message(const void *first, size_t first_size, const void *second, size_t second_size)
{
    unsigned char message[4 + HANDSHAKE_MESSAGE];
    uint32_t header = htobe32((uint32_t)(first_size + second_size));

    memcpy(message, &header, sizeof header);
    memcpy(message + sizeof header, first, first_size);
    memcpy(message + sizeof header + first_size, second, second_size);
    send_bytes(message, sizeof header + first_size + second_size);
}

static void send_answer(void)
{
    unsigned char mac[MAC_SHA256_SIZE];

    was_proved = true;
    check(mac_sha256(mac, secret, sizeof secret, handshake.challenge, HANDSHAKE_CHALLENGE) == 0);
    send_message("{sha256}", 8, mac, sizeof mac);
}

static void send_md5_answer(void)
{
    unsigned char mac[MAC_MD5_SIZE];

    was_proved = was_proved || handshake.key.allow_md5;
    check(mac_md5(mac, secret, sizeof secret, handshake.challenge, HANDSHAKE_CHALLENGE) == 0);
    send_message(mac, sizeof mac, "", 0);
}

/* Returns how many of the bytes that follow were used. */
static size_t do_step(unsigned char choice, const unsigned char *bytes, size_t size)
{
    size_t count = size ? bytes[0] : 0;

    switch (choice % STEPS) {
    case STEP_ANSWER:
        send_answer();
        return 0;
    case STEP_MD5_ANSWER:
        send_md5_answer();
        return 0;
    case STEP_WELCOME:
        send_message("#WELCOME#", 9, "", 0);
        return 0;
    case STEP_CHALLENGE:
        send_message("#CHALLENGE#{sha256}", 19, "0123456789012345678901234567890123456789", 40);
        return 0;
    case STEP_MD5_CHALLENGE:
        send_message("#CHALLENGE#", 11, "01234567890123456789", 20);
        return 0;
    default:
        if (size == 0)
            return 0;
        count = count < size - 1 ? count : size - 1;
        send_bytes(bytes + 1, count);
        return count + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const struct handshake_key key = {secret, sizeof secret, data[0] & 2};
    was_proved = false;
    check(handshake_begin(&handshake, data[0] & 1 ? HANDSHAKE_CLIENT : HANDSHAKE_LISTENER, &key) == 0);
    take_output();
    for (size_t at = 1; at < size && !handshake_is_over(&handshake);) {
        unsigned char choice = data[at++];
        at += do_step(choice, data + at, size - at);
    }
    check(handshake.step != HANDSHAKE_PASSED || was_proved);
    return 0;
}
