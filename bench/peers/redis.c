/* Nanoseconds for a call of a Redis server over a unix socket, started for this: redis get|set|append [LOOPS]. A server
 * with a thousand small keys, all of which are used in turn, or a list that grows from nothing; one call waits for the
 * answer to the last one. The protocol is so simple that it needs no library. */
#include "../measure.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    KEYS = 1000
};

static char folder[] = "/tmp/redis-bench-XXXXXX";
static char path[64];
static pid_t server;

static void stop_server(void)
{
    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    unlink(path);
    rmdir(folder);
}

static void start_server(void)
{
    must(mkdtemp(folder) != NULL, "mkdtemp");
    snprintf(path, sizeof path, "%s/socket", folder);
    atexit(stop_server);
    server = fork();
    must(server >= 0, "fork");
    if (server == 0) {
        must(freopen("/dev/null", "w", stdout) != NULL, "freopen");
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no",
               "--dir", folder, (char *)NULL);
        _exit(127);
    }
}

static int connect_to_server(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    for (int tries = 0; tries < 500; tries++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(fd >= 0, "socket");
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return fd;
        close(fd);
        must(waitpid(server, NULL, WNOHANG) == 0, "redis-server");
        sleep_us(10000);
    }
    must(false, "connect");
    return -1;
}

/* Send a command and read its answer, which comes in one piece. */
static void call(int fd, const char *command, const char *key, const char *value)
{
    char text[256];
    int size = value ? snprintf(text, sizeof text, "*3\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(command),
                                command, strlen(key), key, strlen(value), value)
                     : snprintf(text, sizeof text, "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(command), command,
                                strlen(key), key);

    must(write(fd, text, (size_t)size) == size, "write");
    must(read(fd, text, sizeof text) > 0 && text[0] != '-', "read");
}

static void work(int fd, const char *name, size_t number)
{
    char key[32], value[32];

    snprintf(key, sizeof key, "%zu", number % KEYS);
    snprintf(value, sizeof value, "%zu", number);
    if (strcmp(name, "append") == 0)
        call(fd, "RPUSH", "list", value);
    else if (strcmp(name, "set") == 0)
        call(fd, "SET", key, value);
    else
        call(fd, "GET", key, NULL);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "get";
    size_t loops = argument(argc, argv, 2, 20000);

    start_server();
    int fd = connect_to_server();
    for (size_t i = 0; i < KEYS; i++)
        work(fd, "set", i);
    double begin = seconds_now();
    for (size_t i = 0; i < loops; i++)
        work(fd, name, i);
    printf("%.3f\n", (seconds_now() - begin) * 1e9 / (double)loops);
    return 0;
}
