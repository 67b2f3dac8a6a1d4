/* What the tests of snapshots share. */
#include "snapshots.h"

#include "harness.h"
#include "managers.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[80];

int snapshots_begin(void **state)
{
    strcpy(folder, "/tmp/mproc-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/state", folder);
    return books_open(state);
}

int snapshots_end(void **state)
{
    static const char *const names[] = {"state", "state.new", "state.lock"};
    char name[160];
    int result = books_check(state);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        unlink(name);
    }
    return rmdir(folder) ? -1 : result;
}

const char *snapshots_path(void)
{
    return path;
}

size_t snapshots_size(void)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return (size_t)status.st_size;
}

size_t snapshots_load(void *bytes, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t count = read(fd, bytes, size);
    assert_true(count >= 0);
    close(fd);
    return (size_t)count;
}

void snapshots_store(const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

mproc_manager *start_with_snapshot(const char *address)
{
    return make_manager(address, &(mproc_manager_options){.snapshot_file = path});
}

int serve_snapshot(void)
{
    const mproc_manager_options options = {.key = manager_key, .key_size = sizeof manager_key, .snapshot_file = path};
    return mproc_manager_serve("unix:", &options);
}

pid_t server_pid(void)
{
    mproc_process *child = NULL;
    assert_int_equal(mproc_active_children(&child, 1), 1);
    return mproc_process_pid(child);
}

void kill_server(mproc_manager *manager)
{
    assert_int_equal(kill(server_pid(), SIGKILL), 0);
    mproc_manager_free(manager);
    books_forgive(); /* what the server had in the arena */
}

bool is_being_written(void)
{
    char name[100];
    snprintf(name, sizeof name, "%s.new", path);
    return access(name, F_OK) == 0;
}

pid_t writer_of(pid_t server)
{
    char name[64], line[64] = "";
    snprintf(name, sizeof name, "/proc/%d/task/%d/children", (int)server, (int)server);
    FILE *file = fopen(name, "re");
    if (!file)
        return 0;
    if (!fgets(line, sizeof line, file))
        line[0] = 0;
    fclose(file);
    return (pid_t)atoi(line);
}

static void assert_left(const char *other)
{
    DIR *opened = opendir(folder);
    assert_non_null(opened);
    for (struct dirent *entry = readdir(opened); entry; entry = readdir(opened))
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, other) != 0)
            assert_string_equal(entry->d_name, "state");
    closedir(opened);
}

void assert_only_the_snapshot_is_left(void)
{
    assert_left("");
}

void assert_only_the_snapshot_is_left_but_its_lock(void)
{
    assert_left("state.lock");
}
