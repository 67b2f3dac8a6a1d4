/* One end of a connection whose other end is a Python program, see peer.py: child_peer listen|connect ADDRESS KEY [md5]
 * [huge]. KEY is a file, or "-" for none. A listener prints its address, and echoes until the end of file what its one
 * peer sends, of large messages only the size. A client sends messages and checks what comes back. */
#include <errno.h>
#include <mproc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ECHOED  ((size_t)2 << 20) /* the largest message that is sent back */
#define HUGE    ((size_t)3 << 30)
#define TIMEOUT MPROC_SEC(300)

static const size_t sizes[] = {0, 1, 16384, 1 << 20};

static unsigned char key[MPROC_KEY_MAX];
static size_t key_size;
static bool allow_md5;

static int say(const char *what, int result)
{
    fprintf(stderr, "%s: %s\n", what, mproc_strerror(result));
    return result == MPROC_AUTH ? 3 : 1;
}

static int answer(mproc_connection *connection, const void *data, size_t size)
{
    char text[32];

    if (size <= ECHOED)
        return mproc_connection_send(connection, data, size, TIMEOUT);
    int length = snprintf(text, sizeof text, "%zu", size);
    return mproc_connection_send(connection, text, (size_t)length, TIMEOUT);
}

static int echo(mproc_connection *connection)
{
    int result;
    void *data;
    size_t size;

    while ((result = mproc_connection_recv_new(connection, &data, &size, TIMEOUT)) == 0) {
        result = answer(connection, data, size);
        free(data);
        if (result)
            break;
    }
    return result == MPROC_CLOSED ? 0 : say("echo", result);
}

static int exchange(mproc_connection *connection, const unsigned char *data, size_t size)
{
    char text[32];
    void *back = NULL;
    size_t back_size = 0;

    int result = mproc_connection_send(connection, data, size, TIMEOUT);
    if (!result)
        result = mproc_connection_recv_new(connection, &back, &back_size, TIMEOUT);
    if (result)
        return say("exchange", result);
    snprintf(text, sizeof text, "%zu", size);
    bool is_right = size <= ECHOED ? back_size == size && memcmp(back, data, size) == 0
                                   : back_size == strlen(text) && memcmp(back, text, back_size) == 0;
    free(back);
    if (!is_right)
        fprintf(stderr, "a message of %zu bytes came back wrong\n", size);
    return is_right ? 0 : 1;
}

static int drive(mproc_connection *connection, bool huge)
{
    size_t size = huge ? HUGE : ECHOED;
    unsigned char *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int status = data == MAP_FAILED;

    if (status)
        return 1;
    for (size_t i = 0; !huge && i < size; i++)
        data[i] = (unsigned char)(i * 7 + (i >> 8));
    for (size_t i = 0; !huge && !status && i < sizeof sizes / sizeof *sizes; i++)
        status = exchange(connection, data, sizes[i]);
    if (huge)
        status = exchange(connection, data, size);
    munmap(data, size);
    return status;
}

static int serve(const char *address)
{
    const mproc_listener_options options = {
        .key = key_size ? key : NULL, .key_size = key_size, .allow_md5 = allow_md5, .handshake_time = MPROC_SEC(5)};
    mproc_listener *listener;
    mproc_connection *connection;

    int result = mproc_listener_create(&listener, address, &options);
    if (result)
        return say("listen", result);
    puts(mproc_listener_address(listener));
    fflush(stdout);
    result = mproc_listener_accept(listener, &connection, MPROC_SEC(8));
    mproc_listener_free(listener);
    if (result)
        return say("accept", result);
    int status = echo(connection);
    mproc_connection_free(connection);
    return status;
}

static int use(const char *address, bool huge)
{
    const mproc_connect_options options = {.key = key_size ? key : NULL, .key_size = key_size, .allow_md5 = allow_md5};
    mproc_connection *connection;

    int result = mproc_connect(&connection, address, &options, MPROC_SEC(8));
    if (result)
        return say("connect", result);
    int status = drive(connection, huge);
    mproc_connection_free(connection);
    return status;
}

int main(int argc, char **argv)
{
    bool huge = false;

    if (argc < 4)
        return 2;
    for (int i = 4; i < argc; i++) {
        allow_md5 = allow_md5 || strcmp(argv[i], "md5") == 0;
        huge = huge || strcmp(argv[i], "huge") == 0;
    }
    mproc_log_to_stderr(MPROC_LOG_WARNING);
    int result = strcmp(argv[3], "-") ? mproc_key_from_file(argv[3], key, sizeof key, &key_size) : 0;
    if (result)
        return say(argv[3], result);
    return strcmp(argv[1], "listen") == 0 ? serve(argv[2]) : use(argv[2], huge);
}
