/* Bytes and descriptors as what comes over a connection. The input is steps: a byte that says how many bytes are sent
 * at once, or that a descriptor is, or what the receiver does next; then the bytes. What is received is never more than
 * was sent, and no descriptor is lost. */
#include "connection/receiver.h"
#include "os/clock.h"

#include <errno.h>
#include <mproc/base.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ACTIONS = 4,
    SENT_AT_ONCE = 60,
    CAPACITY = 700
};

static struct receiver receiver;
static struct stream stream;
static size_t sent, received;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool is_usual(int result)
{
    return result == 0 || result == MPROC_TIMEOUT || result == MPROC_CLOSED || result == MPROC_BROKEN ||
           result == MPROC_TOO_SMALL || result == -EPROTO;
}

static void receive(unsigned choice)
{
    unsigned char buffer[CAPACITY];
    void *data = NULL;
    size_t size = 0;
    int fd = -1;
    int result;

    switch (choice % ACTIONS) {
    case 0:
        result = receiver_get(&receiver, &stream, buffer, sizeof buffer, &size, 0);
        break;
    case 1:
        result = receiver_get_new(&receiver, &stream, &data, &size, 0);
        free(data);
        break;
    case 2:
        result = receiver_get_descriptor(&receiver, &stream, &fd, 0);
        check((result == 0) == (fd >= 0));
        if (fd >= 0)
            close(fd);
        break;
    default:
        result = receiver_get(&receiver, &stream, buffer, choice, &size, 0);
        break;
    }
    check(is_usual(result));
    if (result == 0)
        received += size;
    check(received <= sent);
}

static void send_some(int fd, const uint8_t *bytes, size_t size)
{
    ssize_t count = size ? send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    sent += count > 0 ? (size_t)count : 0;
}

static void send_repeated(int fd, uint8_t byte)
{
    unsigned char block[4096];

    for (size_t i = 0; i < sizeof block; i++)
        block[i] = byte;
    send_some(fd, block, sizeof block);
}

static void run(int fd, const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size;) {
        uint8_t step = data[at++];
        size_t left = size - at;
        if (step < SENT_AT_ONCE) {
            size_t count = step < left ? step : left;
            send_some(fd, data + at, count);
            at += count;
        } else if (step < SENT_AT_ONCE + 4) {
            sent += os_socket_send_descriptor(fd, (unsigned char)(step - SENT_AT_ONCE), STDIN_FILENO) == 0;
        } else if (step == SENT_AT_ONCE + 4) {
            send_repeated(fd, left ? data[at] : 0);
        } else {
            receive(step);
        }
    }
}

static int count_descriptors(void)
{
    int fd = dup(STDIN_FILENO);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int before = count_descriptors(), fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        return 0;
    sent = received = 0;
    receiver_init(&receiver);
    stream_init(&stream, fds[0], OS_STREAM_UNIX);
    run(fds[1], data, size);
    close(fds[1]);
    for (unsigned i = 0; i < 8; i++)
        receive(i);
    receiver_close(&receiver);
    close(fds[0]);
    check(count_descriptors() == before);
    return 0;
}
